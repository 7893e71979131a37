"""Do the embeddings tell the labels apart? A linear probe and a nearest-neighbour vote.

Shapes: N documents, D embedding width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import (
    TIE_DECIMALS,
    HeldOut,
    Metric,
    Task,
    too_few,
    unit_rows,
)
from agents.subject import Subject
from protocols.errors import ConfigurationError
from protocols.seeding import generator

# A feature that varies less than this share of the typical feature holds only rounding noise.
NOISE = 1e-5


class Probe(Task):
    """Linear probe: accuracy and macro-F1 of a logistic regression on the frozen embeddings.

    Features are standardised on the training part; the regression is multinomial with an L2 penalty
    of inverse strength 1. The encoder is never trained here, so the score says what the embeddings
    make linearly readable.

    Source: G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier
    probes" (2016).

    Example:
        >>> Probe(train_fraction=0.5).needs_labels
        True
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="probe_accuracy",
            higher_is_better=True,
            help="Share of held-out documents whose label a linear probe reads correctly.",
            percent=True,
        ),
        Metric(
            name="probe_macro_f1",
            label="Probe macro-F1",
            higher_is_better=True,
            help="F1 of the linear probe, averaged over labels however rare.",
            percent=True,
        ),
    )

    kind: Literal["probe"] = "probe"
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that the probe is fitted on"
    )
    max_documents: int = Field(default=2000, ge=4, description="documents to use, about, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels held twice."""
        check_labels(self.kind, heldout)

    def evaluate(self, subject: Subject, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``probe_accuracy`` and ``probe_macro_f1``, both in [0, 1]."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score, f1_score

        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        train, test = _standardise(
            subject.embed(split.train_texts), subject.embed(split.test_texts)
        )
        probe = LogisticRegression(C=1.0, max_iter=5000).fit(train, split.train_labels)
        guess = probe.predict(test)
        macro_f1 = f1_score(split.test_labels, guess, average="macro", zero_division=0.0)
        return {
            "probe_accuracy": float(accuracy_score(split.test_labels, guess)),
            "probe_macro_f1": float(macro_f1),
        }


class KNN(Task):
    """Nearest neighbours: accuracy of a vote of the k most cosine-similar labelled documents.

    All k votes weigh the same; a tied vote goes to the label that sorts first.

    Source: Z. Wu, Y. Xiong, S. Yu and D. Lin, "Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination" (2018), for kNN as a measure of an encoder.

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

    kind: Literal["knn"] = "knn"
    k: int = Field(default=10, ge=1, description="neighbours that vote")
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that may vote"
    )
    max_documents: int = Field(default=2000, ge=4, description="documents to use, about, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels held twice."""
        check_labels(self.kind, heldout)

    def evaluate(self, subject: Subject, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``knn_accuracy``, in [0, 1]."""
        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        classes, voters = np.unique(split.train_labels, return_inverse=True)
        cosines = (
            unit_rows(subject.embed(split.test_texts))
            @ unit_rows(subject.embed(split.train_texts)).T
        )
        # Rounded and sorted stably: equal cosines are taken in the order of the split.
        nearest = np.argsort(-np.round(cosines, TIE_DECIMALS), axis=1, kind="stable")[:, : self.k]
        votes = (voters[nearest][:, :, None] == np.arange(len(classes))).sum(axis=1)
        guess = classes[votes.argmax(axis=1)]
        return {"knn_accuracy": float(np.mean(guess == np.array(split.test_labels)))}


@dataclass(frozen=True)
class Split:
    """Labelled documents to fit on, and others to score on."""

    train_texts: list[str]
    train_labels: list[str]
    test_texts: list[str]
    test_labels: list[str]


def split_by_label(heldout: HeldOut, train_fraction: float, limit: int, seed: int) -> Split:
    """Divide labelled documents so that each label keeps its share on both sides.

    Labels held by one document are left out. Beyond `limit` documents every label is thinned alike,
    but never below one document on each side.

    Example:
        >>> split = split_by_label(HeldOut(tuple("abcdef"), tuple("xxxxyy")), 0.5, 100, seed=0)
        >>> split.train_labels, split.test_labels
        (['x', 'x', 'y'], ['x', 'x', 'y'])
    """
    members = _by_label(heldout)
    keep = min(1.0, limit / sum(len(rows) for rows in members.values()))
    split = Split([], [], [], [])
    for label, rows in members.items():
        # Named by label, so that another label's documents do not change this one's draw.
        order = generator(seed, "evaluation", "split", label).permutation(rows)
        order = order[: max(2, int(keep * len(rows)))]
        cut = min(max(1, round(train_fraction * len(order))), len(order) - 1)
        split.train_texts.extend(heldout.texts[i] for i in order[:cut])
        split.train_labels.extend([label] * cut)
        split.test_texts.extend(heldout.texts[i] for i in order[cut:])
        split.test_labels.extend([label] * (len(order) - cut))
    return split


def check_labels(kind: str, heldout: HeldOut) -> None:
    """Refuse held-out text that `split_by_label` cannot divide into two labels or more.

    Raises:
        ConfigurationError: there are no labels, or fewer than two with two documents each.
    """
    if heldout.labels is None:
        raise ConfigurationError(
            f"The evaluation task {kind!r} needs labels, and the held-out documents have none",
            expected="a label per document",
            actual="no labels",
            mend=f"name the label column in data.source, or take {kind} out of evaluation.tasks",
        )
    found = len(_by_label(heldout))
    if found < 2:
        raise too_few(kind, 2, found, "labels with two documents each")


def _by_label(heldout: HeldOut) -> dict[str, list[int]]:
    """Map each label held by two documents or more to their indices, labels sorted."""
    members: dict[str, list[int]] = {}
    for i, label in enumerate(heldout.labels or ()):
        members.setdefault(label, []).append(i)
    return {label: rows for label, rows in sorted(members.items()) if len(rows) >= 2}


def _standardise(
    train_ND: NDArray[np.float32], test_ND: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shift and scale both by the mean and deviation of the first; noise is not blown up."""
    train, test = train_ND.astype(np.float64), test_ND.astype(np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    floor = NOISE * float(np.sqrt(np.mean(train**2)))
    scale = np.where(deviation > floor, deviation, np.inf)
    return (train - mean) / scale, (test - mean) / scale
