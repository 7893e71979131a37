"""The hops of a round, in the order in which they are taken."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from agentos.rounds.health.collapse import open_hops
from agents.exchange import Exchange
from agents.exchange.base import Turn
from protocols.topologies import Direction, Hop, Network


@dataclass(frozen=True)
class ScheduledHop:
    """One hop of a round with its place in the round.

    Attributes:
        number: of the hop within the round, over all parts and passes.
        part: index of the part of the exchange.
        passage: index of the pass through the topology's plan that the hop belongs to.
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


def turns_of(network: Network, scheduled: ScheduledHop, agents: Iterable[int]) -> dict[int, Turn]:
    """Return the turn of each of some agents; below the top of a tree, all share one."""
    if scheduled.hop.direction is Direction.PEER:
        return {agent: turn_of(network, scheduled, agent) for agent in agents}
    alike: dict[bool, Turn] = {}
    turns: dict[int, Turn] = {}
    for agent in agents:
        is_top = network.parent(agent) is None
        if is_top not in alike:
            alike[is_top] = turn_of(network, scheduled, agent)
        turns[agent] = alike[is_top]
    return turns


def turn_of(network: Network, scheduled: ScheduledHop, agent: int) -> Turn:
    """Return the turn of an agent on a hop that it takes part in."""
    peers = scheduled.hop.direction is Direction.PEER
    return Turn(
        round=scheduled.round,
        hop=scheduled.number,
        direction=scheduled.hop.direction,
        passage=scheduled.passage,
        is_top=not peers and network.parent(agent) is None,
        mixing=network.mixing_weights(agent, scheduled.round) if peers else {},
    )
