"""Agreement of a document's label with those of its nearest neighbours.

Shapes: N documents, D embedding width.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.evaluation.base import TIE_DECIMALS, HeldOut, Metric, Task, unit_rows
from agentos.evaluation.label_split import check_labels, split_by_label
from agents.models.text_encoder import TextEncoder


class KNN(Task):
    """Nearest neighbours: accuracy of a vote of the k most cosine-similar labelled documents.

    All k votes weigh the same; a tied vote goes to the label that sorts first.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, 2018, for kNN
    as a measure of an encoder.

    Example:
        >>> KNN(k=5).metrics[0].name
        'knn_accuracy'
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="knn_accuracy",
            label="kNN accuracy",
            higher_is_better=True,
            help="Share of held-out documents whose nearest neighbours vote for their label.",
            percent=True,
        ),
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"centered", "whitened"})

    kind: Literal["knn"] = "knn"
    k: int = Field(default=10, ge=1, description="neighbours that vote")
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that may vote"
    )
    max_documents: int = Field(
        default=2000, ge=4, description="documents to use, approximately, at most"
    )

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels of two documents."""
        check_labels(self.kind, heldout)

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``knn_accuracy``, in [0, 1]."""
        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        classes, voters = np.unique(split.train_labels, return_inverse=True)
        cosines = (
            unit_rows(encoder.embed(split.test_texts))
            @ unit_rows(encoder.embed(split.train_texts)).T
        )
        # Rounded and sorted stably: equal cosines keep the order of the split.
        nearest = np.argsort(-np.round(cosines, TIE_DECIMALS), axis=1, kind="stable")[:, : self.k]
        votes = (voters[nearest][:, :, None] == np.arange(len(classes))).sum(axis=1)
        guess = classes[votes.argmax(axis=1)]
        return {"knn_accuracy": float(np.mean(guess == np.array(split.test_labels)))}
