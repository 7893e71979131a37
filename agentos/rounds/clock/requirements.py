"""Requirements of runs in which no agent waits for another."""

from __future__ import annotations

from collections.abc import Sequence

from agentos.rounds.faults.base import Fault
from agentos.rounds.faults.policies import PolicyConfig
from agents.exchange import Exchange
from protocols.topologies import Network


def check_asynchronous(
    exchange: Exchange,
    network: Network,
    faults: Sequence[Fault] = (),
    policy: PolicyConfig | None = None,
) -> None:
    """Refuse what cannot run asynchronously.

    Raises:
        ValueError: the run cannot be asynchronous; the text gives the reason and what to change.
    """
    for part in exchange.parts:
        if part.passes > 1:
            raise ValueError(
                f"clock.mode=asynchronous lets no agent wait, and exchange.kind={part.kind} goes through the "
                f"topology {part.passes} times in a round, to wait for answers; choose another exchange or "
                "mode, or set clock.mode to synchronous"
            )
        if not part.asynchronous:
            raise ValueError(
                f"clock.mode=asynchronous lets stale messages count for less, and exchange.kind={part.kind} "
                "with these parameters cannot weigh a message by its age; choose weights or anchor_contrast, "
                "or set clock.mode to synchronous"
            )
        if part.privacy is not None:
            raise ValueError(
                "clock.mode=asynchronous lets an agent compose more than one message in a round, and "
                "exchange.privacy counts one; drop exchange.privacy, or set clock.mode to synchronous"
            )
    if network.period != 1:
        raise ValueError(
            "clock.mode=asynchronous has agents in different rounds at one time, and in this topology the "
            "rounds decide who sends to whom; choose a topology that does not vary, or set clock.mode to "
            "synchronous"
        )
    waits = PolicyConfig(**(policy.about_hosts if policy else {}))
    if faults or (policy is not None and policy != waits):
        raise ValueError(
            "clock.mode=asynchronous has no hops at which all meet, and faults and policies about messages "
            "strike there; drop faults and policy, or set clock.mode to synchronous"
        )
