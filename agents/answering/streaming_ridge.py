"""Ridge regression that learns a stream in closed form: after any order of texts, exactly the batch solution.

Legend: N texts, D embedding width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from agents.answering.adapt import Head, prepared
from agents.answering.answers import Labels, Rows
from protocols.errors import ConfigurationError

_GRID = 2.0**16
"""Features are whole multiples of 1 / this: sums of their products are exact in float64."""
_MOST = 2**20
"""Texts up to which the sums are exact: 2^20 products of at most 2^32 units stay below 2^53."""


@dataclass(frozen=True)
class StreamingRidge:
    """Sums over the texts learnt so far, from which the head follows.

    Features are centred unit embeddings and a constant 1, rounded to a grid of 2^-16. So the sums of their
    products are exact: neither the order of the texts nor the size of the portions changes a bit, and a text
    that is taken back leaves no trace. The encoder must stay as it is; a head of another encoder knows
    nothing of this one.

    It never forgets, which makes it the floor of every claim about continual learning on a frozen encoder.

    Source: McDonnell et al., RanPAC: Random Projections and Pre-trained Models for Continual Learning, 2023,
    for ridge regression on frozen features as a continual learner.

    Attributes:
        centre: `[D]`, subtracted from embeddings first; of public text, and never changed.
        gram: `[D + 1, D + 1]`, sum of products of features.
        sums: `[D + 1, K]`, sum of the features of each class.
        texts: number of texts.
    """

    centre: Rows
    gram: Rows
    sums: Rows
    texts: int = 0

    @classmethod
    def begin(cls, centre_D: Rows, classes: int) -> Self:
        """Return a regression that has learnt nothing."""
        size = len(centre_D) + 1
        return cls(centre_D.astype(np.float64), np.zeros((size, size)), np.zeros((size, classes)))

    def learn(self, embeddings_ND: NDArray[np.floating], labels_N: Labels) -> Self:
        """Return the regression after some more texts."""
        return self._add(embeddings_ND, labels_N, 1)

    def unlearn(self, embeddings_ND: NDArray[np.floating], labels_N: Labels) -> Self:
        """Return the regression without some of its texts, as if it had never learnt them."""
        return self._add(embeddings_ND, labels_N, -1)

    def head(self, l2: float) -> Head:
        """Return the head of smallest squared error, ``sum |feature W - one-hot|^2 + l2 |W|^2``.

        The constant's weights are not penalised. A class without texts scores 0 everywhere.

        Raises:
            ConfigurationError: no text has been learnt, or `l2` is not above 0.
        """
        if self.texts < 1 or l2 <= 0:
            raise ConfigurationError(
                "there is nothing to fit a ridge regression to",
                expected="a text or more, and l2 above 0",
                actual=f"{self.texts} texts, l2 {l2}",
                hint="let it learn labelled texts first",
            )
        penalty = np.full(len(self.gram), l2)
        penalty[-1] = 0.0
        solved = np.asarray(
            np.linalg.solve(self.gram + np.diag(penalty), self.sums), dtype=np.float64
        )
        return Head(self.centre, None, solved[:-1], solved[-1])

    def _add(self, embeddings_ND: NDArray[np.floating], labels_N: Labels, sign: int) -> Self:
        rows_ND = prepared(embeddings_ND, self.centre, None)
        features = np.round(np.append(rows_ND, np.ones((len(rows_ND), 1)), axis=1) * _GRID) / _GRID
        texts = self.texts + sign * len(rows_ND)
        if not 0 <= texts <= _MOST:
            raise ConfigurationError(
                "a streaming ridge regression cannot hold that many texts",
                expected=f"0 to {_MOST}",
                actual=texts,
                hint="unlearn only what was learnt; begin another regression for more texts",
            )
        sums = np.zeros_like(self.sums)
        np.add.at(sums.T, labels_N, features)
        return replace(
            self,
            gram=self.gram + sign * (features.T @ features),
            sums=self.sums + sign * sums,
            texts=texts,
        )
