"""A decoder whose distributions reach the agent that draws the tokens as messages.

Legend: V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.cooperation.joint_writing import JointWriting
from agentos.tasks.cooperation.traffic import Traffic
from agents.answering.answers import Labels
from agents.models.next_token import NextToken


class Writer:
    """A decoder whose distributions reach the one that draws as messages; see `continuation.Decoder`.

    Args:
        decoder: the decoder.
        agent: its number.
        joint: the steps of all; None where it writes alone.
        talk: the traffic of the text.

    Attributes:
        known: log-probability, in nats, that it gave to all tokens it was told.
    """

    def __init__(
        self, decoder: NextToken, agent: int, joint: JointWriting | None, talk: Traffic
    ) -> None:
        self.origin = decoder.origin
        self.vocabulary = decoder.vocabulary
        self.known = 0.0
        self._decoder = decoder
        self._agent = agent
        self._joint = joint
        self._talk = talk
        self._step = 0
        self._row = np.zeros(0)

    @property
    def end_token(self) -> int | None:
        """The token that ends a text."""
        return self._decoder.end_token

    def begin(self, ids: Labels) -> NDArray[np.float64]:
        """Read a prefix afresh; return the distribution `[V]` of the next token, as it was received."""
        self.known, self._step = 0.0, 0
        return self._received(lambda: self._decoder.begin(ids))

    def advance(self, token: int) -> NDArray[np.float64]:
        """Read one more token; return the distribution `[V]` of the one after it, as it was received."""
        self.known += float(np.log(self._row[token]))
        if self._joint is not None:
            self._joint.tell(self._agent, np.array([token]), self._talk.ids, len(self._row))
        self._step += 1
        return self._received(lambda: self._decoder.advance(token))

    def _received(self, read: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        before = self._decoder.flops
        row_V = read()
        spent = self._decoder.flops - before
        if self._joint is None:
            self._talk.flops += spent
            self._row = row_V
        else:
            rows = self._joint.expect(self._agent, row_V[None], self._talk.ids, self._step, spent)
            self._row = rows[0]
        return self._row
