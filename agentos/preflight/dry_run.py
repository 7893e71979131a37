"""Dry run of a protocol: every message of a run is announced and measured; nothing is trained or sent."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agentos.data.printable_text import Problem
from agentos.preflight.protocol_checks import DryRun, Edges, check_form, check_hop, check_reach
from agentos.preflight.protocol_plan import ProtocolPlan
from agentos.rounds.hop_schedule import ScheduledHop, scheduled_hops, turn_of
from agents.exchange.base import Announced, Exchange, Learner, Turn
from agents.exchange.shape_only_learner import ShapeLearner, outline
from agents.lazy_models import width_of
from protocols.errors import WireError
from protocols.messages import Envelope
from protocols.topologies import Direction, Network
from protocols.wire.sizes import message_bytes

ASSUMED_DOCUMENTS = 1000
"""Private documents of an agent before the text is read: their number of digits shows in some headers."""


def check_protocol(plan: ProtocolPlan) -> DryRun:
    """Check the protocol of a run.

    Raises:
        ModelError: an encoder cannot be loaded.
    """
    exchange, network = plan.exchange, plan.society.network
    assert network is not None, "the plan of a run knows its network"
    found = walk(exchange, network, _learners(plan), plan.rounds)
    if exchange.kind != "isolated" and not found.rounds:
        found.add(
            Problem(
                "exchange.every",
                "the agents never exchange anything: raise training.rounds or lower exchange.every "
                "or exchange.first",
                f"every {exchange.every}, first {exchange.first}",
                f"less than training.rounds, which is {plan.rounds}",
            )
        )
    return found


def _learners(plan: ProtocolPlan) -> dict[int, Learner]:
    """Return stand-ins for all agents; those with the same encoder share its outline."""
    exchange, society = plan.exchange, plan.society
    heads = exchange.heads(frozenset(width_of(encoder) for encoder in set(society.encoders)))
    outlines = {
        encoder: outline(encoder, plan.objectives, heads, plan.vocabulary_size)
        for encoder in set(society.encoders)
    }
    anchors = round(exchange.anchor_fraction * society.batch_size)
    return {
        agent: ShapeLearner(
            agent,
            outlines[encoder],
            society.anchors,
            ASSUMED_DOCUMENTS,
            private_batch_size=society.batch_size - anchors,
        )
        for agent, encoder in enumerate(society.encoders)
    }


def walk(
    exchange: Exchange, network: Network, learners: Mapping[int, Learner], rounds: int
) -> DryRun:
    """Go through every hop of every exchange of a run.

    Args:
        exchange: the strategy.
        network: the agents and the edges between them.
        learners: every agent, or a stand-in: see `agents.exchange.shape_only_learner`.
        rounds: number of rounds of the run.
    """
    due = tuple(r for r in range(1, rounds + 1) if exchange.is_due(r, rounds))
    found = DryRun(due)
    alike: dict[Hashable, list[int]] = {}
    for round in due:
        alike.setdefault(_form(exchange, network, round, rounds), []).append(round)
    edges: dict[int, list[Edges]] = {}
    for group in alike.values():
        edges.update(_rounds(found, exchange, network, learners, rounds, group))
    if due and network.agents > 1:
        check_reach(found, network, [edges[round] for round in due])
    return found


def _form(exchange: Exchange, network: Network, round: int, rounds: int) -> Hashable:
    """Return all that the messages of a round depend on, but for the numbers in them."""
    parts = ((part.is_due(round, rounds), part.form_of(round)) for part in exchange.parts)
    period = network.period
    hops = network.hops(round) if period is None else round % period
    return hops, tuple(parts), len(msgspec.msgpack.encode(round))


def _rounds(
    found: DryRun,
    exchange: Exchange,
    network: Network,
    learners: Mapping[int, Learner],
    rounds: int,
    group: Sequence[int],
) -> dict[int, list[Edges]]:
    """Go through rounds of one form: the first and, if the last is like it, no other."""

    def walked(found: DryRun, round: int) -> list[Edges]:
        for place, hop in enumerate(network.hops(round)):
            check_hop(found, network, hop, place)
        hops = scheduled_hops(exchange, network, round, rounds)
        return [_hop(found, exchange.parts[each.part], network, learners, each) for each in hops]

    first, last = group[0], DryRun(())
    edges = walked(found, first)
    walked(last, group[-1])
    for problem in last.problems:
        found.add(problem)
    if _deliveries(last, group[-1]) == _deliveries(found, first):
        found.ledger.repeat(first, group[1:])
        return dict.fromkeys(group, edges)
    return {first: edges, **{round: walked(found, round) for round in group[1:]}}


def _deliveries(found: DryRun, round: int) -> dict[str, list[Any]]:
    """Return the deliveries of a round without its number."""
    return {name: column for name, column in found.ledger.rows(round).items() if name != "round"}


def spoken_for(
    network: Network, direction: Direction, agent: int, examples: Mapping[int, int]
) -> tuple[int, ...]:
    """Return the numbers of documents of all agents that a fused message of this agent may represent."""
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
    scheduled: ScheduledHop,
) -> Edges:
    """Let every sender of a hop announce its message; return the edges that carry one."""
    hop = scheduled.hop
    examples = {id: learner.examples for id, learner in learners.items()}
    edges = []
    for sender in sorted({sender for sender, _ in hop.edges}):
        turn = turn_of(network, scheduled, sender)
        fused = spoken_for(network, hop.direction, sender, examples)
        announced = exchange.announces(learners[sender], turn, fused)
        if announced is None:
            continue
        sizes = None
        for receiver in hop.recipients(sender):
            expected = exchange.expects(learners[receiver], turn_of(network, scheduled, receiver))
            own = announced.to(expected) if announced.apart else announced
            check_form(found, own, expected, (hop, sender, receiver))
            try:
                if sizes is None or announced.apart:
                    sizes = _sizes(exchange, own, sender, turn)
            except WireError as error:
                found.add(Problem("exchange.codec", error.message, error.actual, error.expected))
                break
            kind = announced.payload.kind
            found.ledger.record(scheduled.round, scheduled.number, sender, receiver, kind, *sizes)
            edges.append((sender, receiver))
    if not edges:
        note = f"hop {scheduled.number} ({hop.direction}): no agent sends"
        found.silent += [note] if note not in found.silent else []
    return edges


def _sizes(exchange: Exchange, announced: Announced, sender: int, turn: Turn) -> tuple[int, int]:
    """Return the bytes of a message, and its bytes without a codec."""
    envelope = Envelope(
        sender=sender,
        round=turn.round,
        hop=turn.hop,
        kind=announced.payload.kind,
        gradient=exchange.gradient(turn),
    )
    arguments = (envelope, announced.payload, announced.shapes, announced.scalars)
    codec = exchange.codec_of(announced.payload)
    return message_bytes(*arguments, codec), message_bytes(*arguments)
