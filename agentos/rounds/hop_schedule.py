"""The hops of a round, in the order in which they are taken."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentos.rounds.health.collapse import open_hops
from protocols.topologies import Hop, Network

if TYPE_CHECKING:
    from agents.exchange import Exchange, Turn


@dataclass(frozen=True)
class ScheduledHop:
    """One hop on the way of a round's messages.

    Attributes:
        number: of the hop within the round, over all parts and passes.
        part: index of the part of the exchange.
        passage: which of the part's passes through the topology's plan.
    """

    round: int
    number: int
    part: int
    passage: int
    hop: Hop


def scheduled_hops(
    exchange: Exchange, network: Network, round: int, rounds: int, paused: Collection[int] = ()
) -> Iterator[ScheduledHop]:
    """Yield the hops of a round, for every part of the exchange that is due and each of its passes.

    The edges of paused agents are left out.
    """
    number = itertools.count()
    for index, part in enumerate(exchange.parts):
        if part.is_due(round, rounds):
            for passage in range(part.passes):
                for hop in open_hops(network.hops(round), paused):
                    yield ScheduledHop(round, next(number), index, passage, hop)


def turns_of(network: Network, leg: ScheduledHop, agents: Iterable[int]) -> dict[int, Turn]:
    """Return where each of some agents is; below the top of a tree, all are at one and the same turn."""
    from protocols.topologies import Direction

    if leg.hop.direction is Direction.PEER:
        return {agent: turn_of(network, leg, agent) for agent in agents}
    alike: dict[bool, Turn] = {}
    turns: dict[int, Turn] = {}
    for agent in agents:
        is_top = network.parent(agent) is None
        if is_top not in alike:
            alike[is_top] = turn_of(network, leg, agent)
        turns[agent] = alike[is_top]
    return turns


def turn_of(network: Network, leg: ScheduledHop, agent: int) -> Turn:
    """Return where in a round an agent is, on a hop that it takes part in."""
    from agents.exchange.base import Turn
    from protocols.topologies import Direction

    peers = leg.hop.direction is Direction.PEER
    return Turn(
        round=leg.round,
        hop=leg.number,
        direction=leg.hop.direction,
        passage=leg.passage,
        is_top=not peers and network.parent(agent) is None,
        mixing=network.mixing_weights(agent, leg.round) if peers else {},
    )
