"""Checks of the messages and hops of a protocol, and what a dry run collects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentos.data.printable_text import Problem
from agents.exchange.base import Announced, Expected
from protocols.ledger import Ledger
from protocols.topologies import Hop, Network

_NAMED = 8
"""Agents that a problem names one by one."""
Edges = list[tuple[int, int]]
"""Sender and receiver of each delivery of a hop."""


@dataclass
class DryRun:
    """The messages that a run is going to send.

    Attributes:
        rounds: those that end with an exchange.
        ledger: every delivery to come, if none is lost.
        problems: mistakes in the protocol.
        apart: ordered pairs of agents without a way, direct or indirect, from the first to the second.
        silent: descriptions of hops in which no agent sends.
    """

    rounds: tuple[int, ...]
    ledger: Ledger = field(default_factory=Ledger)
    problems: list[Problem] = field(default_factory=list)
    apart: int = 0
    silent: list[str] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Add a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def check_form(
    found: DryRun, announced: Announced, expected: Expected, where: tuple[Hop, int, int]
) -> None:
    """Check that a receiver expects what it is sent."""
    hop, sender, receiver = where
    message = (
        f"agent-{receiver} does not expect what agent-{sender} sends it on the way {hop.direction}"
    )
    if announced.payload is not expected.payload:
        given, allowed = announced.payload.kind, expected.payload.kind
    elif expected.layout is not None and announced.scalars.get("layout") != expected.layout:
        given, allowed = "parameters of another layout", "encoders of one kind"
    else:
        shapes = announced.shapes.items()
        wrong = [name for name, shape in shapes if not _fits(shape, expected, name)]
        if not wrong:
            return
        given = ", ".join(f"{name} {list(announced.shapes[name])}" for name in wrong)
        allowed = ", ".join(f"{name} {list(expected.shapes[name])}" for name in wrong)
    found.add(Problem("exchange", message, given, f"{allowed}; give all agents like encoders"))


def _fits(shape: tuple[int, ...], expected: Expected, name: str) -> bool:
    wanted = expected.shapes.get(name, (None,) * len(shape))
    return len(wanted) == len(shape) and all(
        size in (None, given) for size, given in zip(wanted, shape, strict=True)
    )


def check_hop(found: DryRun, network: Network, hop: Hop, place: int) -> None:
    """Check that a hop can end: its edges exist, and it is where its index says."""
    strange = [(a, b) for a, b in hop.edges if a == b or b not in network.neighbours(a)]
    if strange or not hop.edges or hop.index != place:
        given = f"hop {hop.index} at place {place}, with {len(hop.edges)} edges"
        given += f"; {strange[0]} is not an edge of the network" if strange else ""
        allowed = "hops numbered from 0, each with edges of the network"
        found.add(Problem("topology", "a hop that cannot end", given, allowed))


def check_reach(found: DryRun, network: Network, rounds: Iterable[list[Edges]]) -> None:
    """Report the agents that never receive anything, or whose messages reach no other agent."""
    every = (1 << network.agents) - 1
    reached = [1 << agent for agent in range(network.agents)]  # a bit for each agent it knows of
    for hop in itertools.chain.from_iterable(rounds):
        before = list(reached)
        if all(bits == every for bits in before):
            break
        for sender, receiver in hop:
            reached[receiver] |= before[sender]
    sources = 0  # a bit for each agent that some other agent knows of
    for agent in range(network.agents):
        sources |= reached[agent] & ~(1 << agent)
    deaf = [agent for agent in range(network.agents) if reached[agent] == 1 << agent]
    mute = [agent for agent in range(network.agents) if not sources >> agent & 1]
    hint = "raise training.rounds, lower exchange.every, or choose another topology"
    count = f"{len(found.rounds)} exchanges"
    for agents, what in ((deaf, "never receive anything"), (mute, "never reach any other agent")):
        if agents:
            found.add(Problem("topology", f"{_names(agents)} {what}", count, hint))
    found.apart = sum(network.agents - bits.bit_count() for bits in reached)


def _names(agents: Iterable[int]) -> str:
    listed = list(agents)
    names = ", ".join(f"agent-{agent}" for agent in listed[:_NAMED])
    return names + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")
