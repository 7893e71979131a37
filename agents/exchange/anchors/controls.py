"""Controls of a study: what stands in the place of what neighbours sent.

With ``teacher: own`` an agent hears itself: the same loss, among peers the same passes through the encoder
(parents in a tree embed the anchors once or twice more), no bytes and no cooperation. What a strategy gains
beyond that is cooperation, not an extra signal. With ``teacher: shuffled`` it hears its neighbours as if they
spoke of other anchors: the same bytes and the same loss, and nothing in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols.messages import Message, Payload
from protocols.seeding import generator

if TYPE_CHECKING:
    from agents.exchange.base import Learner, Turn


def own(
    learner: Learner, said: Payload | Mapping[int, Payload] | None, turn: Turn
) -> list[Message]:
    """Return an inbox that holds what the agent would have said itself, once."""
    payload = next(iter(said.values()), None) if isinstance(said, Mapping) else said
    if payload is None:
        return []
    return [Message.compose(payload, sender=learner.id, round=turn.round, hop=turn.hop)]


def shuffled(learner: Learner, inbox: Sequence[Message], turn: Turn) -> list[Message]:
    """Return the inbox as if every sender spoke of other anchors.

    The order differs from agent to agent, round to round and hop to hop: a mapping that stayed could be
    learnt by heart.

    Raises:
        ConfigurationError: the payloads say nothing of anchors.
    """
    rng = generator(learner.seed, "shuffled anchors", learner.id, turn.round, turn.hop)
    order = derangement(learner.anchor_count, rng)
    return [replace(message, payload=message.payload.of_other_anchors(order)) for message in inbox]


def derangement(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation of 2 or more things, one cycle, so that none stays in its place.

    Example:
        >>> order = derangement(6, np.random.default_rng(0))
        >>> sorted(order.tolist()), bool((order == np.arange(6)).any())
        ([0, 1, 2, 3, 4, 5], False)
    """
    drawn = rng.permutation(count)
    order: NDArray[np.int64] = np.empty(count, dtype=np.int64)
    order[drawn] = np.roll(drawn, 1)
    return order
