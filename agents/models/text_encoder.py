"""The interface of an encoder under evaluation: embeddings and the scores of its language-model head.

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
    """Scores of a language-model head on the tokens of some texts.

    Attributes:
        kind: ``causal`` predicts every token from those before it, ``masked`` some masked tokens.
        nll: `[N]` float64, negative log-likelihood of the scored tokens of each text, summed, in nats.
        correct: `[N]` int64, scored tokens whose most probable prediction was right.
        count: `[N]` int64, scored tokens; 0 if a text is too short to have any.
    """

    kind: LanguageModelKind
    nll: NDArray[np.float64]
    correct: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass(frozen=True)
class LabelScores:
    """Class probabilities of some texts by an agent's own classifier.

    Attributes:
        names: names of the K classes.
        probabilities: `[N, K]` float64, rows sum to one.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]


class TextEncoder(Protocol):
    """An encoder under test."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, not normalised."""

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts; None without a language-model head.

        Args:
            texts: texts to be scored.
            seed: draws the tokens that are masked, the same for every encoder with one tokenizer.
        """

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Classify texts; None without a classifier that labels have trained."""


@dataclass(frozen=True)
class FunctionEncoder:
    """A text encoder made from a plain function, without a language-model head.

    Args:
        function: maps texts to `[N, D]` float32.

    Example:
        >>> encoder = FunctionEncoder(lambda texts: np.array([[len(t)] for t in texts], np.float32))
        >>> encoder.embed(["one", "three"]).tolist(), encoder.token_scores(["one"], seed=0)
        ([[3.0], [5.0]], None)
    """

    function: Callable[[Sequence[str]], NDArray[np.float32]]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the function's result."""
        return self.function(texts)

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return None: there is no head."""
        return None

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Return None: there is no head."""
        return None
