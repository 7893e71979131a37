"""Models by how well a linear classifier reads the labels from their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.tasks.out_of_fold import check_rows, out_of_fold
from agentos.tasks.selection.base import Candidates, Selection, first_of_each_origin
from agentos.tasks.selection.logme import logme


class Linear(Selection):
    """Out-of-fold accuracy of a logistic regression, for the models that LogME ranks first."""

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
            answers = out_of_fold(candidates.embeddings[model], labels, seed, self.folds)
            found[model] = float(np.mean(answers.probabilities.argmax(axis=1) == labels))
        return found
