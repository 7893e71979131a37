"""The joint embedding: unit embeddings of several agents side by side, as one encoder.

Shapes: N texts, W width of one agent, J sum of the widths, P width after a PCA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.base import unit_rows
from agents.models.cpu.one_thread import one_thread
from agents.models.text_encoder import LabelScores, TokenScores
from protocols.errors import ConfigurationError


def side_by_side(
    rows: Sequence[NDArray[np.floating]], weights: Sequence[float]
) -> NDArray[np.float32]:
    r"""Return the unit rows of each agent side by side, `[N, J]`, scaled by the roots of their weights.

    With weights \(w_k\) that sum to 1 the cosine of two joint rows is \(\sum_k w_k \cos_k\), the weighted
    mean of the agents' own cosines.

    Args:
        rows: `[N, W]` of each agent; widths may differ.
        weights: weight of each, above 0.

    Example:
        >>> one, other = np.array([[3.0, 4.0]]), np.array([[7.0]])
        >>> [round(float(value), 3) for value in side_by_side([one, other], [0.75, 0.25])[0]]
        [0.52, 0.693, 0.5]
    """
    scales = scales_of(weights)
    blocks = [scale * unit_rows(block) for scale, block in zip(scales, rows, strict=True)]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def scales_of(weights: Sequence[float]) -> list[float]:
    """Return the factor of each agent's unit rows: the root of its share of the weights."""
    return [float(np.sqrt(weight / sum(weights))) for weight in weights]


@dataclass(frozen=True)
class Projection:
    """A PCA: `rows -> (rows - mean) @ axes`.

    Attributes:
        mean: `[J]` float64.
        axes: `[J, P]` float64, orthonormal, by descending variance.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def __call__(self, rows_NJ: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the projected rows `[N, P]`."""
        projected: NDArray[np.float32] = ((rows_NJ - self.mean) @ self.axes).astype(np.float32)
        return projected


def fit_pca(rows_NJ: NDArray[np.floating], width: int) -> Projection:
    """Fit a PCA, the same on every machine: on one thread, the sign of each axis fixed.

    Raises:
        ConfigurationError: there are fewer than `width` columns, or no more than `width` rows.
    """
    texts, columns = rows_NJ.shape
    if not width < texts or not width <= columns:
        raise ConfigurationError(
            "evaluation.joint.pca is too wide",
            expected=f"at most {min(columns, texts - 1)}: {columns} columns of {texts} texts",
            actual=width,
            hint="lower evaluation.joint.pca, or set it to null",
        )
    with one_thread():
        rows = rows_NJ.astype(np.float64)
        mean = rows.mean(axis=0)
        _, _, axes_PJ = np.linalg.svd(rows - mean, full_matrices=False)
    axes_PJ = axes_PJ[:width]
    largest = np.abs(axes_PJ).argmax(axis=1)
    signs = np.sign(axes_PJ[np.arange(width), largest])
    return Projection(mean, (axes_PJ * signs[:, None]).T)


class JointEncoder:
    """A text encoder made of the embeddings of several agents.

    It has no language-model head. Its class probabilities are the agents' vote: the weighted mean of theirs.

    Args:
        ask: returns the embeddings `[N, W]` of some texts by each agent.
        weights: weight of each agent, above 0.
        projection: reduces the joint rows; None keeps them.
        vote: returns the class probabilities of some texts by each agent; None if they have no classifiers.

    Example:
        >>> ask = lambda texts: [np.ones((len(texts), 2)), np.eye(len(texts), 3)]
        >>> JointEncoder(ask, (1.0, 1.0)).embed(["a", "b"]).shape
        (2, 5)
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], Sequence[NDArray[np.float32]]],
        weights: Sequence[float],
        projection: Projection | None = None,
        vote: Callable[[Sequence[str]], Sequence[LabelScores | None]] | None = None,
    ) -> None:
        self.ask = ask
        self.weights = tuple(weights)
        self.projection = projection
        self.vote = vote

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the joint embeddings `[N, J]`, or `[N, P]` after the projection."""
        joint_NJ = side_by_side(self.ask(texts), self.weights)
        return joint_NJ if self.projection is None else self.projection(joint_NJ)

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return None: agents with tokenizers of their own score different tokens."""
        return None

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Return the vote of the agents; None unless all have classifiers of the same classes."""
        found = [] if self.vote is None else self.vote(texts)
        scores = [each for each in found if each is not None]
        if not scores or len(scores) < len(found) or len({each.names for each in scores}) > 1:
            return None
        votes_SNK = np.stack([each.probabilities for each in scores])
        shares_S = np.array(self.weights) / sum(self.weights)
        return LabelScores(scores[0].names, np.einsum("s,snk->nk", shares_S, votes_SNK))

    def fitted(self, texts: Sequence[str], width: int | None) -> JointEncoder:
        """Return the encoder with a PCA to `width` fitted on texts; unchanged if that is None."""
        if width is None:
            return self
        rows = JointEncoder(self.ask, self.weights).embed(texts)
        return JointEncoder(self.ask, self.weights, fit_pca(rows, width), self.vote)
