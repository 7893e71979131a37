"""What an evaluation may ask of an encoder: embeddings, and how well its language-model head guesses.

Shapes: N texts, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.config import LanguageModelKind


@dataclass(frozen=True)
class TokenScores:
    """How well a language-model head guesses the tokens of some texts.

    Attributes:
        kind: ``causal`` guesses every token from those before it, ``masked`` some hidden ones.
        nll: `[N]` float64, negative log-likelihood of the scored tokens of each text, summed, in nats.
        correct: `[N]` int64, scored tokens whose most probable guess was right.
        count: `[N]` int64, scored tokens; 0 where a text is too short to hold one.
    """

    kind: LanguageModelKind
    nll: NDArray[np.float64]
    correct: NDArray[np.int64]
    count: NDArray[np.int64]


class TextEncoder(Protocol):
    """An encoder under test."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, not normalised."""

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts; None without a language-model head.

        Args:
            texts: to be scored.
            seed: draws the tokens that are hidden, the same for every subject.
        """


@dataclass(frozen=True)
class FunctionEncoder:
    """A subject made of a plain function, without a language-model head.

    Args:
        function: texts to `[N, D]` float32.

    Example:
        >>> subject = FunctionEncoder(lambda texts: np.array([[len(t)] for t in texts], np.float32))
        >>> subject.embed(["one", "three"]).tolist(), subject.token_scores(["one"], seed=0)
        ([[3.0], [5.0]], None)
    """

    function: Callable[[Sequence[str]], NDArray[np.float32]]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the function returns."""
        return self.function(texts)

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return None: there is no head."""
        return None
