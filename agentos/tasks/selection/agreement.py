"""Models by how far the others see the same in texts without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from agentos.evaluation.similarity import linear_cka
from agentos.tasks.selection.base import Candidates, Selection, first_of_each_origin


class Anchors(Selection):
    """Agreement without labels: mean linear CKA with the other models on the same texts.

    Models that learnt something about the texts resemble each other; models that did not differ each in
    its own way. Copies of one origin count once, or they would vote for themselves. Where most candidates
    are weak in the same way, such as agents of one short run, they agree with each other, and the choice is
    no better than a random one: prefer `linear` wherever there are labels.

    Source of the measure: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019.
    """

    kind: Literal["anchors"] = "anchors"
    needs_embeddings: ClassVar[bool] = True

    def fitness(self, candidates: Candidates, seed: int) -> Sequence[float | None]:
        """Return the mean similarities, in [0, 1]; see `Selection.fitness`."""
        distinct = first_of_each_origin(candidates)
        similar = np.zeros((len(distinct), len(distinct)))
        for i, one in enumerate(distinct):
            for j, other in enumerate(distinct[:i]):
                pair = candidates.embeddings[one], candidates.embeddings[other]
                similar[i, j] = similar[j, i] = linear_cka(*pair)
        found: list[float | None] = [None] * len(candidates)
        for model, row in zip(distinct, similar, strict=True):
            found[model] = float(row.sum() / max(1, len(distinct) - 1))
        return found
