"""Do the embeddings tell the labels apart? Linear probes, fitted on many documents or on a few.

Shapes: N documents, D embedding width, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.labelled import check_labels, split_by_label
from agents.models.text_encoder import TextEncoder
from protocols.seeding import derive

# A feature that varies less than this share of the typical feature holds only rounding noise.
NOISE = 1e-5
LABELS_SHOWN = 60
"""Pictures of more classes than these are not readable, and not drawn."""


def _metrics(prefix: str, what: str) -> tuple[Metric, ...]:
    """Return what both probes report; all but the first two only in the report."""
    told = {
        "accuracy": f"Share of held-out documents whose label {what} reads correctly.",
        "macro_f1": f"F1 of {what}, averaged over labels however rare.",
        "micro_f1": f"F1 of {what} over all documents; with one label each, its accuracy.",
        "macro_precision": f"Share of the documents given a label by {what} that bear it, "
        "averaged over labels.",
        "macro_recall": f"Share of the documents of a label that {what} finds, averaged over labels.",
    }
    kind = prefix.replace("_", "-").capitalize()
    return tuple(
        Metric(
            name=f"{prefix}_{name}",
            label=f"{kind} {name.replace('_f1', '-F1').replace('_', ' ')}",
            higher_is_better=True,
            help=help,
            percent=True,
            minor=name not in ("accuracy", "macro_f1"),
        )
        for name, help in told.items()
    )


class Probe(Task):
    """Linear probe: accuracy, F1, precision and recall of a logistic regression on all embeddings.

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
    metrics: ClassVar[tuple[Metric, ...]] = _metrics("probe", "a linear probe")

    kind: Literal["probe"] = "probe"
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that the probe is fitted on"
    )
    max_documents: int = Field(default=2000, ge=4, description="documents to use, about, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels held twice."""
        check_labels(self.kind, heldout)

    def evaluate(self, subject: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return the five metrics, all in [0, 1]."""
        return self.examine(subject, heldout, seed)[0]

    def examine(
        self, subject: TextEncoder, heldout: HeldOut, seed: int
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return also ``labels`` and the ``confusion`` matrix `[C, C]`, a row for each true label."""
        from sklearn.metrics import confusion_matrix

        truth, guess = self._guess(subject, heldout, seed)
        scores = {f"probe_{name}": value for name, value in scores_of(truth, guess).items()}
        labels = sorted({*truth})
        if len(labels) > LABELS_SHOWN:
            return scores, {}
        matrix = confusion_matrix(truth, guess, labels=labels)
        return scores, {"labels": labels, "confusion": matrix.tolist()}

    def _guess(
        self, subject: TextEncoder, heldout: HeldOut, seed: int
    ) -> tuple[list[str], Sequence[str]]:
        from sklearn.linear_model import LogisticRegression

        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        train, test = _standardise(
            subject.embed(split.train_texts), subject.embed(split.test_texts)
        )
        probe = LogisticRegression(C=1.0, max_iter=5000).fit(train, split.train_labels)
        return split.test_labels, probe.predict(test)


class FewShot(Task):
    """Few-shot probe: mteb's protocol, a logistic regression on a few documents of each label.

    The mean over several draws of the few. As in mteb, features are neither standardised nor
    normalised and the solver stops after 100 iterations: a test gives the same embeddings to mteb and
    gets the same scores.

    Source: N. Muennighoff, N. Tazi, L. Magne and N. Reimers, "MTEB: Massive Text Embedding
    Benchmark" (2023).

    Example:
        >>> FewShot(samples_per_label=16).experiments
        10
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = _metrics("few_shot", "a probe of a few documents")

    kind: Literal["few_shot"] = "few_shot"
    samples_per_label: int = Field(default=8, ge=1, description="documents of each label to fit on")
    experiments: int = Field(default=10, ge=1, description="draws of those to average over")
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that the few are drawn from"
    )
    max_documents: int = Field(default=2000, ge=4, description="documents to use, about, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels held twice."""
        check_labels(self.kind, heldout)

    def evaluate(self, subject: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return the five metrics, all in [0, 1]."""
        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        few = few_of_each(
            split.train_labels,
            self.samples_per_label,
            self.experiments,
            derive(seed, "evaluation", self.kind) % 2**32,
        )
        test = subject.embed(split.test_texts)
        found = [
            few_shot_scores(
                subject.embed([split.train_texts[i] for i in rows]),
                [split.train_labels[i] for i in rows],
                test,
                split.test_labels,
            )
            for rows in few
        ]
        return {f"few_shot_{name}": float(np.mean([s[name] for s in found])) for name in found[0]}


def few_of_each(
    labels: Sequence[str], samples: int, experiments: int, seed: int
) -> Iterator[list[int]]:
    """Draw a few documents of each label, for one experiment after another, as mteb does.

    Each experiment shuffles what the one before it left, with the same seed.

    Example:
        >>> [[("xxyy"[i]) for i in sorted(rows)] for rows in few_of_each("xxyy", 1, 2, seed=0)]
        [['x', 'y'], ['x', 'y']]
    """
    order = list(range(len(labels)))
    for _ in range(experiments):
        np.random.RandomState(seed).shuffle(order)
        taken: dict[str, int] = {}
        rows = []
        for i in order:
            taken[labels[i]] = taken.get(labels[i], 0) + 1
            if taken[labels[i]] <= samples:
                rows.append(i)
        yield rows


def few_shot_scores(
    train_ND: NDArray[np.float32],
    train_labels: Sequence[str],
    test_ND: NDArray[np.float32],
    test_labels: Sequence[str],
) -> dict[str, float]:
    """Fit mteb's classifier on a few embeddings, and score it on others; see `scores_of`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # The protocol stops there, converged or not; and labels are many for so few documents.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        probe = LogisticRegression(max_iter=100).fit(train_ND, train_labels)
    return scores_of(test_labels, probe.predict(test_ND))


def scores_of(truth: Sequence[str], guess: Sequence[str]) -> dict[str, float]:
    """Return accuracy, F1 (macro and micro), and macro precision and recall, all in [0, 1].

    A label that is never guessed has precision 0.

    Example:
        >>> scores_of(["x", "x", "y", "y"], ["x", "y", "y", "y"])["macro_recall"]
        0.75
    """
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    precision, recall, macro_f1, _ = precision_recall_fscore_support(
        truth, guess, average="macro", zero_division=0.0
    )
    return {
        "accuracy": float(accuracy_score(truth, guess)),
        "macro_f1": float(macro_f1),
        "micro_f1": float(f1_score(truth, guess, average="micro")),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
    }


def _standardise(
    train_ND: NDArray[np.float32], test_ND: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shift and scale both by the mean and deviation of the first; noise is not blown up."""
    train, test = train_ND.astype(np.float64), test_ND.astype(np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    floor = NOISE * float(np.sqrt(np.mean(train**2)))
    scale = np.where(deviation > floor, deviation, np.inf)
    return (train - mean) / scale, (test - mean) / scale
