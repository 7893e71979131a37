"""An agent's part in a hop: the messages that it composes, and the merging of those that it receives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from agents.exchange.anchors import controls
from agents.exchange.base import Exchange, Learner, Turn
from agents.exchange.privacy.protection import protect
from agents.hosting.admission import Admission
from agents.hosting.agent_pool import AgentPool
from agents.hosting.delivery import Delivery
from agents.hosting.local_steps import Span
from agents.training.agent import Agent
from agents.training.blueprint import Arm
from protocols.codecs import Codec
from protocols.messages import Message, Payload
from protocols.seeding import generator
from protocols.wire.validate import Expectation

logger = logging.getLogger(__name__)

Alterations: TypeAlias = Sequence[Callable[[Payload], Payload]]
"""Changes that a faulty agent makes to its payloads before they are sent."""
Composed: TypeAlias = tuple[tuple[int, ...], Message, Codec]
"""Recipients of a message, the message, and the codec that it is sent in."""


def compose(
    agent: Agent, arm: Arm, part: int, turn: Turn, alterations: Alterations = ()
) -> list[Composed]:
    """Return the messages of an agent to the recipients of a turn: one to all, or one to each."""
    strategy, learner = agent.part(arm.exchange, part)
    composed = controls.compose(strategy, learner, turn)
    if composed is None:
        return []
    if isinstance(composed, Payload):
        addressed = [(turn.recipients, composed)]
    else:
        addressed = [((each,), payload) for each, payload in sorted(composed.items())]
    messages = []
    for recipients, payload in addressed:
        payload = _protected(strategy, learner, payload, turn, (part, recipients[0]))
        for alter in alterations:
            payload = alter(payload)
        message = Message.compose(
            payload,
            sender=agent.id,
            round=turn.round,
            hop=turn.hop,
            gradient=strategy.gradient(turn),
        )
        messages.append((recipients, message, strategy.codec_of(type(payload))))
    return messages


def _protected(
    strategy: Exchange, learner: Learner, payload: Payload, turn: Turn, place: tuple[int, int]
) -> Payload:
    """Return a payload as its agent may send it: as it is, or clipped and noised."""
    if strategy.privacy is None:
        return payload
    draws = generator(learner.seed, "privacy", learner.id, turn.round, turn.hop, *place)
    known = strategy.known(learner, type(payload), turn)
    return protect(payload, strategy.privacy, known, draws)


def compose_all(
    pool: AgentPool,
    arm: Arm,
    part: int,
    turns: Mapping[int, tuple[Turn, tuple[int, ...]]],
    alterations: Mapping[int, Alterations],
    span: Span,
) -> Iterator[Composed]:
    """Yield the messages of the senders in `turns`, one agent after another.

    Args:
        pool: the host's agents.
        arm: their exchange.
        part: number of the exchange's part.
        turns: by sender, its place in the round and its recipients.
        alterations: by faulty sender, the changes to its payloads.
        span: records the time that work on an agent takes.
    """
    addressed: dict[int, Turn] = {}  # by identity: equal turns arrived as one object
    for sender, agent in pool.each(pool.order(turns)):
        turn, recipients = shared = turns[sender]
        if id(shared) not in addressed:
            addressed[id(shared)] = replace(turn, recipients=recipients)
        with span("compose", sender):
            composed = compose(agent, arm, part, addressed[id(shared)], alterations.get(sender, ()))
        yield from composed


def merge(agent: Agent, arm: Arm, part: int, delivery: Delivery, admission: Admission) -> list[str]:
    """Merge a delivery into an agent; return the reasons of rejected messages."""
    turn, staleness = delivery.turn, delivery.staleness
    strategy, learner = agent.part(arm.exchange, part)
    accepted = strategy.expects(learner, turn)
    expectation = Expectation(
        round=turn.round,
        hop=turn.hop,
        senders=delivery.senders,
        payload=accepted.payload,
        shapes=accepted.shapes,
        layout=accepted.layout,
        codec=strategy.codec_of(accepted.payload),
        rounds=None if staleness is None else staleness.accepted(turn.round),
    )
    inbox: Sequence[Message]
    inbox, rejected = admission.inbox(delivery, expectation)
    for error in rejected:
        logger.warning("agent-%d, round %d: %s", agent.id, turn.round, error)
    reasons = [error.reason for error in rejected]
    if len(inbox) < delivery.fewest:
        reasons += ["quorum"] * len(inbox)
        inbox = ()
    if staleness is not None:
        turn = replace(turn, discounts=staleness.discounts(turn.round, inbox))
    controls.merge(strategy, learner, inbox, turn)
    return reasons
