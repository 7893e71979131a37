"""Novelty of texts: how unlike everything known their embeddings are, with a bound on false alarms.

Legend: K known texts, M calibration texts, N new texts, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.errors import ConfigurationError
from protocols.spec import Spec

Rows = NDArray[np.float64]
_BLOCK = 2048


class ConformalKnn(Spec):
    """Conformal p-values of the distance to the nearest known texts.

    A text's score is its mean cosine distance to the `k` nearest known texts. Its p-value is the share of
    calibration texts, itself included, that score as high. A text that is exchangeable with those of the
    calibration is called novel with a probability of at most `alpha`, under any embedding.

    Sources: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Bates et al., Testing
    for Outliers with Conformal p-values, 2023; Sun et al., Out-of-Distribution Detection with Deep Nearest
    Neighbors, 2022, for the score.
    """

    kind: Literal["conformal_knn"] = "conformal_knn"
    alpha: float = Field(
        0.01,
        gt=0.0,
        lt=1.0,
        description="Probability at most that a text that is not novel is so called.",
    )
    k: int = Field(5, ge=1, description="Nearest known texts to look at.")

    def can_fit(self, known: int, calibration: int) -> bool:
        """Return whether there are enough texts to fit a detector."""
        return known >= self.k and calibration >= self._least

    @property
    def _least(self) -> int:
        return int(np.ceil(1 / self.alpha)) - 1

    def fit(self, known_KD: NDArray[np.floating], calibration_MD: NDArray[np.floating]) -> Detector:
        """Fit a detector.

        Args:
            known_KD: embeddings of what is known.
            calibration_MD: embeddings of other texts of the same kind, none of them among the known.

        Raises:
            ConfigurationError: there are too few of either.
        """
        if not self.can_fit(len(known_KD), len(calibration_MD)):
            raise ConfigurationError(
                "there are too few texts to tell what is novel",
                expected=f"{self.k} known texts, and {self._least} for calibration at alpha {self.alpha}",
                actual=f"{len(known_KD)} and {len(calibration_MD)}",
                hint="raise novelty.alpha, or keep more texts for calibration",
            )
        known = unit(known_KD)
        return Detector(self.alpha, self.k, known, np.sort(_scores(calibration_MD, known, self.k)))


@dataclass(frozen=True)
class Detector:
    """A detector of novel texts.

    Attributes:
        alpha, k: see `ConformalKnn`.
        known: `[K, D]`, unit vectors.
        calibration: `[M]`, scores in ascending order.
    """

    alpha: float
    k: int
    known: Rows
    calibration: Rows

    def p_values(self, embeddings_ND: NDArray[np.floating]) -> Rows:
        """Return the p-value of each text `[N]`; small where it is novel."""
        scores_N = _scores(embeddings_ND, self.known, self.k)
        at_least = len(self.calibration) - np.searchsorted(self.calibration, scores_N, side="left")
        found: Rows = (1 + at_least) / (len(self.calibration) + 1)
        return found

    def novel(self, embeddings_ND: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which texts are novel `[N]`."""
        return self.p_values(embeddings_ND) <= self.alpha


def unit(rows_ND: NDArray[np.floating]) -> Rows:
    """Return rows of length 1 in float64; zeros stay zeros."""
    wide = np.asarray(rows_ND, np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    found: Rows = wide / np.where(lengths > 0, lengths, 1.0)
    return found


def _scores(rows_ND: NDArray[np.floating], known_KD: Rows, k: int) -> Rows:
    rows = unit(rows_ND)
    blocks = [
        1.0
        - np.partition(rows[start : start + _BLOCK] @ known_KD.T, -k, axis=1)[:, -k:].mean(axis=1)
        for start in range(0, len(rows), _BLOCK)
    ]
    return np.concatenate([*blocks, np.zeros(0)])
