"""Linear separability of labels with few examples: mteb's few-shot protocol.

Shapes: N documents, D embedding width.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.classification import classification_metrics, classification_scores
from agentos.evaluation.label_split import check_labels, split_by_label
from agents.models.text_encoder import TextEncoder
from protocols.seeding import derive


class FewShot(Task):
    """Few-shot probe: mteb's protocol, a logistic regression on a few documents of each label.

    Scores are means over several draws. As in mteb, features are neither standardised nor normalised
    and the solver stops after 100 iterations: a test gives the same embeddings to mteb and gets the
    same scores. The intercept is not penalised, so the optimum does not depend on the origin.

    Source: Muennighoff et al., MTEB: Massive Text Embedding Benchmark, 2023.

    Example:
        >>> FewShot(samples_per_label=16).experiments
        10
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = classification_metrics(
        "few_shot", "a probe of a few documents"
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"whitened"})

    kind: Literal["few_shot"] = "few_shot"
    samples_per_label: int = Field(default=8, ge=1, description="documents of each label to fit on")
    experiments: int = Field(default=10, ge=1, description="draws of them to average over")
    train_fraction: float = Field(
        default=0.6, gt=0, lt=1, description="share of each label that the few are drawn from"
    )
    max_documents: int = Field(
        default=2000, ge=4, description="documents to use, approximately, at most"
    )

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels of two documents."""
        check_labels(self.kind, heldout)

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return the five metrics, all in [0, 1]."""
        split = split_by_label(heldout, self.train_fraction, self.max_documents, seed)
        few = few_of_each(
            split.train_labels,
            self.samples_per_label,
            self.experiments,
            derive(seed, "evaluation", self.kind) % 2**32,
        )
        test = encoder.embed(split.test_texts)
        found = [
            few_shot_scores(
                encoder.embed([split.train_texts[i] for i in rows]),
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

    Each experiment shuffles the order that the previous one left, with the same seed.

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
    """Fit mteb's classifier on a few embeddings, and score it on others; see `classification_scores`."""
    from sklearn import exceptions, linear_model

    with warnings.catch_warnings():
        # The protocol stops there, converged or not; and sklearn warns of many classes in few documents.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        probe = linear_model.LogisticRegression(max_iter=100).fit(train_ND, train_labels)
    return classification_scores(test_labels, probe.predict(test_ND))
