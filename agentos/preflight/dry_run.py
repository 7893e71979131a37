"""The protocol of a run walked through without training: who says what to whom, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentos.config.field_errors import Problem
from agentos.rounds.hop_schedule import ScheduledHop, scheduled_hops, turn_of
from protocols.errors import WireError
from protocols.ledger import Ledger
from protocols.messages import Envelope
from protocols.topologies import Direction, Hop, Network
from protocols.wire.sizes import message_bytes

if TYPE_CHECKING:
    from agents.exchange.base import Announced, Exchange, Expected, Learner, Turn

_NAMED = 8
"""Agents that a problem names one by one."""


@dataclass
class DryRun:
    """What a run is going to say.

    Attributes:
        rounds: those that end with an exchange.
        ledger: every delivery to come, as if nothing got lost.
        problems: what is wrong with the protocol.
        apart: ordered pairs of agents of which the second never hears of the first, not even through others.
        silent: hops in which nobody speaks, in words.
    """

    rounds: tuple[int, ...]
    ledger: Ledger = field(default_factory=Ledger)
    problems: list[Problem] = field(default_factory=list)
    apart: int = 0
    silent: list[str] = field(default_factory=list)

    def blame(self, problem: Problem) -> None:
        """Add a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def walk(
    exchange: Exchange, network: Network, learners: Mapping[int, Learner], rounds: int
) -> DryRun:
    """Walk through every hop of every exchange of a run.

    Args:
        exchange: the strategy.
        network: who may talk to whom.
        learners: every agent; prospects will do, see `agents.exchange.shape_learner`.
        rounds: of the run.
    """
    due = tuple(r for r in range(1, rounds + 1) if exchange.is_due(r, rounds))
    found = DryRun(due)
    knows = [1 << agent for agent in range(network.agents)]  # a bit for each agent heard of
    for round in due:
        for place, hop in enumerate(network.hops(round)):
            _check_hop(found, network, hop, place)
        for leg in scheduled_hops(exchange, network, round, rounds):
            sent = _hop(found, exchange.parts[leg.part], network, learners, leg)
            before = list(knows)
            for sender, receiver in sent:
                knows[receiver] |= before[sender]
    if due and network.agents > 1:
        _check_reach(found, network, knows)
    return found


def spoken_for(
    network: Network, direction: Direction, agent: int, examples: Mapping[int, int]
) -> tuple[int, ...]:
    """Return the documents of every agent that a fused message of this agent may stand for."""
    if direction is Direction.PEER:
        return (examples[agent],)
    top = agent
    if direction is Direction.DOWN:
        while (parent := network.parent(top)) is not None:
            top = parent
    return tuple(examples[each] for each in _below(network, top))


def _below(network: Network, agent: int) -> Iterator[int]:
    yield agent
    for child in network.children(agent):
        yield from _below(network, child)


def _hop(
    found: DryRun,
    exchange: Exchange,
    network: Network,
    learners: Mapping[int, Learner],
    leg: ScheduledHop,
) -> list[tuple[int, int]]:
    """Let every sender of a hop announce its message; return the edges that carry one."""
    hop = leg.hop
    examples = {id: learner.examples for id, learner in learners.items()}
    carried = []
    for sender in sorted({sender for sender, _ in hop.edges}):
        turn = turn_of(network, leg, sender)
        fused = spoken_for(network, hop.direction, sender, examples)
        said = exchange.announces(learners[sender], turn, fused)
        if said is None:
            continue
        sizes = None
        for receiver in hop.recipients(sender):
            expected = exchange.expects(learners[receiver], turn_of(network, leg, receiver))
            letter = said.to(expected) if said.apart else said
            _check_form(found, letter, expected, (hop, sender, receiver))
            try:
                if sizes is None or said.apart:
                    sizes = _sizes(exchange, letter, sender, turn)
            except WireError as error:
                found.blame(Problem("exchange.codec", error.message, error.actual, error.expected))
                break
            found.ledger.record(leg.round, leg.number, sender, receiver, said.payload.kind, *sizes)
            carried.append((sender, receiver))
    if not carried:
        told = f"hop {leg.number} ({hop.direction}): nobody speaks"
        found.silent += [told] if told not in found.silent else []
    return carried


def _sizes(exchange: Exchange, said: Announced, sender: int, turn: Turn) -> tuple[int, int]:
    """Return the bytes of a message, and what it would take without a codec."""
    envelope = Envelope(
        sender=sender,
        round=turn.round,
        hop=turn.hop,
        kind=said.payload.kind,
        gradient=exchange.gradient(turn),
    )
    arguments = (envelope, said.payload, said.shapes, said.scalars)
    codec = exchange.codec_of(said.payload)
    return message_bytes(*arguments, codec), message_bytes(*arguments)


def _check_form(
    found: DryRun, said: Announced, expected: Expected, where: tuple[Hop, int, int]
) -> None:
    """Check that a receiver waits for what it is sent."""
    hop, sender, receiver = where
    message = (
        f"what agent-{sender} sends agent-{receiver} on the way {hop.direction} is not awaited"
    )
    if said.payload is not expected.payload:
        given, awaited = said.payload.kind, expected.payload.kind
    elif expected.layout is not None and said.scalars.get("layout") != expected.layout:
        given, awaited = "parameters of another layout", "encoders of one kind"
    else:
        wrong = [name for name, shape in said.shapes.items() if not _fits(shape, expected, name)]
        if not wrong:
            return
        given = ", ".join(f"{name} {list(said.shapes[name])}" for name in wrong)
        awaited = ", ".join(f"{name} {list(expected.shapes[name])}" for name in wrong)
    found.blame(Problem("exchange", message, given, f"{awaited}; give all agents like encoders"))


def _fits(shape: tuple[int, ...], expected: Expected, name: str) -> bool:
    wanted = expected.shapes.get(name, (None,) * len(shape))
    return len(wanted) == len(shape) and all(
        size in (None, given) for size, given in zip(wanted, shape, strict=True)
    )


def _check_hop(found: DryRun, network: Network, hop: Hop, place: int) -> None:
    """Check that a hop can end: its edges exist, and it is where its index says."""
    strange = [(a, b) for a, b in hop.edges if a == b or b not in network.neighbours(a)]
    if strange or not hop.edges or hop.index != place:
        given = f"hop {hop.index} at place {place}, with {len(hop.edges)} edges"
        given += f", of which {strange[0]} is none of the network's" if strange else ""
        allowed = "hops numbered from 0, each with edges of the network"
        found.blame(Problem("topology", "a hop that cannot end", given, allowed))


def _check_reach(found: DryRun, network: Network, knows: list[int]) -> None:
    """Name the agents that hear nobody or reach nobody."""
    everyone = range(network.agents)
    heard = 0
    for agent in everyone:
        heard |= knows[agent] & ~(1 << agent)
    deaf = [agent for agent in everyone if knows[agent] == 1 << agent]
    mute = [agent for agent in everyone if not heard >> agent & 1]
    hint = "raise training.rounds, lower exchange.every, or choose another topology"
    count = f"{len(found.rounds)} exchanges"
    for agents, what in ((deaf, "never hear from anybody"), (mute, "never reach anybody")):
        if agents:
            found.blame(Problem("topology", f"{_names(agents)} {what}", count, hint))
    found.apart = sum(network.agents - bits.bit_count() for bits in knows)


def _names(agents: Iterable[int]) -> str:
    listed = list(agents)
    told = ", ".join(f"agent-{agent}" for agent in listed[:_NAMED])
    return told + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")
