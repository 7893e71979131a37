"""An agent's part in a hop: what it says, and what becomes of what it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from agents.exchange.anchors import controls
from agents.exchange.base import Turn
from agents.exchange.inbox import Fetch, Reader, receive
from agents.hosting.delivery import Delivery
from agents.training.agent import Agent
from agents.training.blueprint import Arm
from protocols.codecs import Codec
from protocols.messages import Message, Payload
from protocols.wire.validate import Expectation

logger = logging.getLogger(__name__)

Lies = Sequence[Callable[[Payload], Payload]]
"""What an agent makes of its payloads before they are sent."""


def say(
    agent: Agent, arm: Arm, part: int, turn: Turn, lies: Lies = ()
) -> list[tuple[Message, Codec]]:
    """Return what an agent says to the recipients of a turn, and in what it is sent."""
    strategy, learner = agent.part(arm.exchange, part)
    said = controls.compose(strategy, learner, turn)
    if said is None:
        return []
    if isinstance(said, Payload):
        letters = [(turn.recipients, said)]
    else:
        letters = [((each,), payload) for each, payload in sorted(said.items())]
    messages = []
    for recipients, payload in letters:
        for lie in lies:
            payload = lie(payload)
        message = Message.compose(
            payload,
            sender=agent.id,
            recipients=recipients,
            round=turn.round,
            hop=turn.hop,
            gradient=strategy.gradient(turn),
        )
        messages.append((message, strategy.codec_of(type(payload))))
    return messages


def hear(
    agent: Agent,
    arm: Arm,
    part: int,
    delivery: Delivery,
    fetches: Sequence[Fetch],
    reader: Reader,
    kept_bytes: int,
) -> list[str]:
    """Let an agent take in what it is sent; return the reasons of what was rejected."""
    turn, staleness = delivery.turn, delivery.staleness
    strategy, learner = agent.part(arm.exchange, part)
    accepted = strategy.expects(learner, turn)
    expectation = Expectation(
        round=turn.round,
        hop=turn.hop,
        recipient=agent.id,
        senders=delivery.senders,
        payload=accepted.payload,
        shapes=accepted.shapes,
        layout=accepted.layout,
        codec=strategy.codec_of(accepted.payload),
        rounds=None if staleness is None else staleness.accepted(turn.round),
    )
    inbox, rejected = receive(fetches, expectation, kept_bytes, reader)
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
