"""Centring and whitening: affine maps of embeddings, fitted on an agent's training text.

Shapes: N texts, D embedding width, K width of mapped embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import VARIANTS
from agents.models.cpu.one_thread import one_thread
from agents.models.text_encoder import NOISE, EmbeddingMap
from protocols.errors import ConfigurationError
from protocols.spec import Spec

LEAST_PER_DIRECTION = 2
"""Training documents for each direction that whitening keeps: fewer give weak directions at random, and
whitening makes them as strong as the others."""

CenterText = Literal["sentences", "documents"]
"""Text that maps are fitted on: the first sentence of each document, or the whole."""


class Whitening(Spec):
    """PCA whitening: uncorrelated directions of equal variance, perhaps only the strongest.

    Source: Su et al., Whitening Sentence Representations for Better Semantics and Faster Retrieval, 2021.
    """

    width: int | None = Field(
        None, ge=1, description="Strongest directions that are kept; unset: all."
    )


@dataclass(frozen=True)
class MapFitter:
    """Fits the maps that an evaluation asks for; a plain value that travels to hosts.

    Args:
        center: whether to centre.
        whitening: the whitening; None for none.
        documents: training documents to fit on, at most.
        text: whether to fit on the first sentence of each, or on the document.
        affecting: variants that can change the metrics of a task; see `agentos.evaluation.base.VARIANTS`.

    Example:
        >>> maps = MapFitter(True, None, 256)(np.array([[1.0, 4.0], [3.0, 0.0]], dtype=np.float32))
        >>> maps["centered"].bias.tolist()
        [-2.0, -2.0]
    """

    center: bool
    whitening: Whitening | None
    documents: int
    text: CenterText = "sentences"
    affecting: frozenset[str] = frozenset(VARIANTS)

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the maps."""
        wanted = {"centered": self.center, "whitened": self.whitening is not None}
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the maps under which a task is computed."""
        return tuple(name for name in self.variants if name in self.affecting)

    def __call__(self, rows_ND: NDArray[np.float32]) -> dict[str, EmbeddingMap]:
        """Return the maps by the name of their variant, fitted on embeddings of training text."""
        maps = {}
        if self.center:
            maps["centered"] = fit_centering(rows_ND)
        if self.whitening is not None:
            # With several threads, the order in which sums add up would depend on the machine.
            with one_thread():
                maps["whitened"] = fit_whitening(rows_ND, self.whitening.width)
        return maps


def fit_centering(rows_ND: NDArray[np.float32]) -> EmbeddingMap:
    """Return the map that subtracts the mean of the rows."""
    mean_D = rows_ND.astype(np.float64).mean(axis=0)
    return EmbeddingMap(None, -mean_D.astype(np.float32))


def fit_whitening(rows_ND: NDArray[np.float32], width: int | None = None) -> EmbeddingMap:
    r"""Return the map that gives the rows mean 0 and covariance \(I\).

    With the covariance \(U \Lambda U^T\), eigenvalues descending: \(x \mapsto \Lambda^{-1/2} U^T (x - \mu)\);
    the first K rows are kept. Directions that hold only rounding noise, or no variance since there
    are fewer rows than directions, become zeros instead of being amplified.

    Args:
        rows_ND: embeddings to fit on, two or more.
        width: K; None for D.

    Raises:
        ConfigurationError: K is above D.

    Example:
        >>> rows = np.array([[1, 0], [5, 0], [3, 1], [3, -1]], dtype=np.float32)
        >>> np.abs(fit_whitening(rows).weight).astype(float).round(3).tolist()
        [[0.612, 0.0], [0.0, 1.225]]
    """
    if width is not None and width > rows_ND.shape[1]:
        raise too_wide(width, rows_ND.shape[1])
    rows = rows_ND.astype(np.float64)
    mean_D = rows.mean(axis=0)
    centred = rows - mean_D
    covariance = centred.T @ centred / max(1, len(rows) - 1)
    values, vectors = np.linalg.eigh(covariance)
    strongest = np.argsort(-values, kind="stable")[:width]
    values, vectors = values[strongest], vectors[:, strongest]
    # The sign of an eigenvector is the library's choice; here its largest entry is positive.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(values))])
    floor = NOISE**2 * max(float(np.mean(rows**2)), float(values[0]))
    scale = np.where(values > floor, 1.0 / np.sqrt(np.maximum(values, floor or 1.0)), 0.0)
    weight_KD = scale[:, None] * vectors.T
    return EmbeddingMap(weight_KD.astype(np.float32), (-weight_KD @ mean_D).astype(np.float32))


def too_wide(width: int, encoder_width: int) -> ConfigurationError:
    """Return the error for a whitening that keeps more directions than there are."""
    return ConfigurationError(
        "whitening.width is above the width of the encoder",
        expected=f"at most {encoder_width}",
        actual=width,
        hint="lower it, or leave it out to keep every direction",
    )
