"""Comparison of the poisoned senders of a run with what a robust fusion tolerates."""

from __future__ import annotations

from collections.abc import Collection

from agents.exchange.parameters.robust_fusion import ParameterFusion
from protocols.topologies.hops import Direction
from protocols.topologies.network import RANDOM_WINDOW, Network


def check_breakdown(fusion: ParameterFusion, network: Network, poisoned: Collection[int]) -> None:
    """Refuse more poisoned senders than a robust fusion tolerates, wherever an honest agent fuses.

    The mean promises nothing, so nothing is refused under it. A result from above is adopted as it is,
    without a fusion, so no sender downwards may be poisoned.

    Raises:
        ValueError: with the agent, its vectors and the limit.
    """
    if fusion.kind == "mean" or not poisoned:
        return
    for round in range(network.period or RANDOM_WINDOW):
        for hop in network.hops(round):
            for agent in sorted({*hop.participants} - {*poisoned}):
                senders = hop.senders(agent)
                bad = sorted({*senders} & {*poisoned})
                down = hop.direction is Direction.DOWN
                vectors = 1 + len(senders)
                limit = 0 if down else fusion.tolerated(vectors)
                if len(bad) <= limit:
                    continue
                named = ", ".join(f"agent-{each}" for each in bad)
                where = (
                    f"agent-{agent} adopts the result of {named} without a fusion"
                    if down
                    else f"of the {vectors} vectors that agent-{agent} fuses, its own included, "
                    f"{len(bad)} come from byzantine agents ({named})"
                )
                raise ValueError(
                    f"exchange.fusion {fusion.kind} tolerates {limit} poisoned vectors there, and {where}; "
                    "name fewer agents in faults, let agents fuse more vectors, or use the fusion mean to "
                    "see a fusion without a guarantee fail"
                )
