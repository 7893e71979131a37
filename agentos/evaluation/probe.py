"""Linear separability of labels: a logistic regression on the embeddings.

Shapes: N documents, D embedding width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.classification import classification_metrics, classification_scores
from agentos.evaluation.label_split import check_labels, split_by_label
from agents.models.text_encoder import TextEncoder

NOISE = 1e-5
"""Deviation below which a feature holds only rounding noise, as a share of the typical feature."""

CLASSES_SHOWN = 60
"""Largest number of classes for which the report shows a confusion matrix."""


class Probe(Task):
    """Linear probe: accuracy, F1, precision and recall of a logistic regression on all embeddings.

    Features are standardised on the training part; the regression is multinomial with an L2 penalty
    of inverse strength 1. The encoder is never trained here, so the score measures what is linearly
    separable in the embeddings.

    Source: Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016.

    Example:
        >>> Probe(train_fraction=0.5).needs_labels
        True
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = classification_metrics("probe", "a linear probe")

    kind: Literal["probe"] = "probe"
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that the probe is fitted on"
    )
    max_documents: int = Field(
        default=2000, ge=4, description="documents to use, approximately, at most"
    )

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels of two documents."""
        check_labels(self.kind, heldout)

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return the five metrics, all in [0, 1]."""
        return self.examine(encoder, heldout, seed)[0]

    def examine(
        self, encoder: TextEncoder, heldout: HeldOut, seed: int
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return also ``labels`` and the ``confusion`` matrix `[C, C]`, with a row per true label."""
        from sklearn import metrics  # not at the top: reading a configuration imports this module

        truth, guess = self._predict(encoder, heldout, seed)
        scores = {
            f"probe_{name}": value for name, value in classification_scores(truth, guess).items()
        }
        labels = sorted({*truth})
        if len(labels) > CLASSES_SHOWN:
            return scores, {}
        matrix = metrics.confusion_matrix(truth, guess, labels=labels)
        return scores, {"labels": labels, "confusion": matrix.tolist()}

    def _predict(
        self, encoder: TextEncoder, heldout: HeldOut, seed: int
    ) -> tuple[list[str], Sequence[str]]:
        from sklearn import linear_model

        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        train, test = _standardise(
            encoder.embed(split.train_texts), encoder.embed(split.test_texts)
        )
        probe = linear_model.LogisticRegression(C=1.0, max_iter=5000).fit(train, split.train_labels)
        return split.test_labels, probe.predict(test)


def _standardise(
    train_ND: NDArray[np.float32], test_ND: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standardise both by the mean and deviation of the first, without amplifying noise."""
    train, test = train_ND.astype(np.float64), test_ND.astype(np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    floor = NOISE * float(np.sqrt(np.mean(train**2)))
    scale = np.where(deviation > floor, deviation, np.inf)
    return (train - mean) / scale, (test - mean) / scale
