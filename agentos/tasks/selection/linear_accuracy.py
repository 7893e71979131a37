"""Models by how well a linear classifier reads the labels from their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.tasks.out_of_fold import check_rows
from agentos.tasks.selection.base import (
    Candidates,
    Embeddings,
    Selection,
    first_of_each_origin,
)
from agentos.tasks.selection.logme import logme
from agents.answering.adapt import Linear as LinearHead
from agents.answering.adapt import fold_rows


class Linear(Selection):
    """Out-of-fold accuracy of the head that `adapt: linear` fits, for the models that LogME ranks first."""

    kind: Literal["linear"] = "linear"
    needs_labels: ClassVar[bool] = True
    needs_embeddings: ClassVar[bool] = True
    prefilter: float = Field(
        default=3.0,
        ge=1.0,
        description="Origins that LogME lets through, in multiples of `top`; the rest is not fitted.",
    )
    folds: int = Field(5, ge=2, le=20, description="Folds of the cross-validation.")

    def fitness(self, candidates: Candidates, seed: int) -> Sequence[float | None]:
        """Return the accuracies in [0, 1]; see `Selection.fitness`."""
        assert candidates.labels is not None  # guaranteed by `choose`
        labels = candidates.labels
        left = first_of_each_origin(candidates)
        for model in left:
            check_rows(candidates.embeddings[model], labels)
        through = int(np.ceil(self.prefilter * self.top))
        if len(left) > through:
            evidence = {model: logme(candidates.embeddings[model], labels) for model in left}
            left = sorted(left, key=lambda each: (-evidence[each], each))[:through]
        found: list[float | None] = [None] * len(candidates)
        for model in left:
            found[model] = self._accuracy(candidates.embeddings[model], labels, seed)
        return found

    def _accuracy(self, embeddings_ND: Embeddings, labels_N: NDArray[np.int64], seed: int) -> float:
        # Without a temperature, which changes no class.
        classes, said_N = int(labels_N.max()) + 1, np.empty_like(labels_N)
        for held in fold_rows(labels_N, self.folds, seed, "selection"):
            rest = np.setdiff1d(np.arange(len(labels_N)), held)
            head = LinearHead().head(embeddings_ND[rest], labels_N[rest], classes)
            said_N[held] = head.scores(embeddings_ND[held]).argmax(axis=1)
        return float(np.mean(said_N == labels_N))
