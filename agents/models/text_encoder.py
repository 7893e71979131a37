"""The interface of an encoder under evaluation, affine maps of its embeddings, and a cache of them.

Shapes: N texts, D embedding width, K width of mapped embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.config import LanguageModelKind
from protocols.errors import TrainingError

NOISE = 1e-5
"""Length below which an embedding is rounding noise, as a share of the typical length."""


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


@dataclass(frozen=True)
class EmbeddingMap:
    """An affine map of embeddings, ``x -> weight x + bias``, fitted on text that an agent trains on.

    Attributes:
        weight: `[K, D]` float32; None for the identity.
        bias: `[K]` float32; minus the mean where embeddings are only centred.

    Example:
        >>> centre = EmbeddingMap(None, np.array([-1.0, 0.0], dtype=np.float32))
        >>> centre(np.array([[1.0, 2.0], [3.0, 0.0]], dtype=np.float32)).tolist()
        [[0.0, 2.0], [2.0, 0.0]]
    """

    weight: NDArray[np.float32] | None
    bias: NDArray[np.float32]

    def __call__(self, rows_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return mapped rows `[N, K]`; rows at the mean, up to rounding noise, become zeros.

        A collapsed encoder gives every text the mean. What rounding leaves of the difference points
        anywhere, and must not be ranked.
        """
        if self.weight is not None:
            mapped = rows_ND.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
            return mapped.astype(np.float32)
        moved = rows_ND + self.bias
        noise = NOISE * np.linalg.norm(rows_ND, axis=1, keepdims=True)
        centred: NDArray[np.float32] = np.where(
            np.linalg.norm(moved, axis=1, keepdims=True) > noise, moved, np.float32(0)
        )
        return centred


@dataclass(frozen=True)
class MappedEncoder:
    """A text encoder whose embeddings pass an affine map.

    Args:
        encoder: the encoder, whose language-model head is unchanged.
        map: the map.
    """

    encoder: TextEncoder
    map: EmbeddingMap

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return mapped embeddings `[N, K]`."""
        return self.map(self.encoder.embed(texts))

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return the scores of the encoder."""
        return self.encoder.token_scores(texts, seed)

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Return the class probabilities of the encoder."""
        return self.encoder.label_scores(texts)


class CachedEmbeddings:
    """An encoder that embeds each distinct text only once.

    Args:
        encoder: the encoder under test.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._rows: dict[str, NDArray[np.float32]] = {}

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return the scores of the encoder under test."""
        return self._encoder.token_scores(texts, seed)

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Return the class probabilities of the encoder."""
        return self._encoder.label_scores(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, embedding only texts that are new.

        Raises:
            TrainingError: the embeddings have the wrong shape, or are not finite.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update(zip(new, self._checked(new), strict=True))
        return np.stack([self._rows[text] for text in texts])

    def _checked(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.asarray(self._encoder.embed(texts), dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise TrainingError(
                "The encoder returned embeddings of the wrong shape",
                expected=f"[{len(texts)}, D]",
                actual=list(rows.shape),
                hint="return one pooled row per text",
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise not_finite(f"The encoder's embedding of {len(bad)} texts", texts[bad[0]][:60])
        return rows


def not_finite(what: str, actual: object) -> TrainingError:
    """Return the error for a number of an evaluation that is not finite."""
    return TrainingError(
        f"{what} is not finite",
        expected="finite numbers",
        actual=actual,
        hint="lower training.learning_rate, or train in fp32",
    )
