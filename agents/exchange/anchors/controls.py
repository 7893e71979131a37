"""Controls of a study: substitutes for the neighbours' messages.

With ``teacher: own`` an agent merges its own message: the same loss, among peers the same passes through the
encoder (parents in a tree embed the anchors once or twice more), no bytes and no cooperation. A gain beyond
that is due to cooperation, not to an extra signal. With ``teacher: shuffled`` it merges its neighbours'
messages with the anchors permuted: the same bytes and the same loss, without information.

Hosts call `compose` and `merge` of this module instead of the strategy's, so that no strategy has to know of
controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.base import Exchange, Learner, Turn
from protocols.messages import Message, Payload
from protocols.seeding import generator


def compose(
    strategy: Exchange, learner: Learner, turn: Turn
) -> Payload | Mapping[int, Payload] | None:
    """Return what `Exchange.compose` returns, or None if each agent is its own teacher."""
    if isinstance(strategy, AnchorExchange) and strategy.teacher == "own":
        return None
    return strategy.compose(learner, turn)


def merge(strategy: Exchange, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
    """Pass the inbox to `Exchange.merge`, or its substitute where the strategy runs as a control."""
    if isinstance(strategy, AnchorExchange) and strategy.teacher == "own":
        inbox = own(learner, strategy.compose(learner, turn), turn)
    elif isinstance(strategy, AnchorExchange) and strategy.teacher == "shuffled":
        inbox = shuffled(learner, inbox, turn)
    strategy.merge(learner, inbox, turn)


def own(
    learner: Learner, composed: Payload | Mapping[int, Payload] | None, turn: Turn
) -> list[Message]:
    """Return an inbox that holds the agent's own message, once."""
    payload = next(iter(composed.values()), None) if isinstance(composed, Mapping) else composed
    if payload is None:
        return []
    return [Message.compose(payload, sender=learner.id, round=turn.round, hop=turn.hop)]


def shuffled(learner: Learner, inbox: Sequence[Message], turn: Turn) -> list[Message]:
    """Return the inbox with the anchors of every payload permuted.

    The order differs between agents, rounds and hops: a fixed mapping could be learnt.

    Raises:
        ConfigurationError: the payloads are not about anchors.
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
