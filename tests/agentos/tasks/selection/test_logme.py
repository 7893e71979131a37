"""LogME against the evidence written out, and as a rank of models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, spearmanr

from agentos.tasks.out_of_fold import out_of_fold
from agentos.tasks.selection import SELECTIONS, Candidates
from agentos.tasks.selection.logme import log_evidence, logme
from protocols.errors import ConfigurationError
from protocols.seeding import generator


def evidence(rows: np.ndarray, targets: np.ndarray, alpha: float, beta: float) -> float:
    """log N(y; 0, I / beta + F F' / alpha) per text: the weights integrated out."""
    covariance = np.eye(len(rows)) / beta + rows @ rows.T / alpha
    return float(multivariate_normal(cov=covariance).logpdf(targets) / len(rows))


@pytest.mark.parametrize(("texts", "width"), [(30, 4), (30, 60)])
def test_evidence_is_that_of_the_distribution_and_the_largest(texts: int, width: int) -> None:
    rng = generator(0, "logme", width)
    rows = rng.normal(size=(texts, width))
    targets = (rows @ rng.normal(size=width) + rng.normal(size=texts) * 2 > 0).astype(float)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    found, alpha, beta = log_evidence(left, singular, width, targets)
    assert found == pytest.approx(evidence(rows, targets, alpha, beta), abs=1e-6)
    best = minimize(
        lambda logs: -evidence(rows, targets, *np.exp(logs)), [0.0, 0.0], method="Nelder-Mead"
    )
    assert found == pytest.approx(-best.fun, abs=1e-3)


def test_classes_are_averaged() -> None:
    rng = generator(0, "classes")
    rows, labels = rng.normal(size=(30, 5)), np.arange(30) % 3
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    each = [log_evidence(left, singular, 5, (labels == k).astype(float))[0] for k in range(3)]
    assert logme(rows, labels) == pytest.approx(np.mean(each))


def test_models_are_ranked_like_their_accuracies() -> None:
    labels = np.arange(200) % 4
    means = generator(0, "means").normal(size=(4, 16))
    rng = generator(0, "models")
    models = [means[labels] + noise * rng.normal(size=(200, 16)) for noise in (1, 2, 3, 4, 6, 9)]
    accuracy = [
        np.mean(out_of_fold(rows, labels, 0).probabilities.argmax(axis=1) == labels)
        for rows in models
    ]
    ranked = spearmanr([logme(rows, labels) for rows in models], accuracy).statistic
    assert ranked > 0.9


@pytest.mark.parametrize("kind", [k for k, each in SELECTIONS.items() if each.needs_labels])
def test_models_without_labels_or_embeddings_are_refused(kind: str) -> None:
    rows = (np.eye(4), np.eye(4))
    for missing, candidates in (
        ("labels", Candidates(("a", "b"), (1, 2), rows)),
        ("embeddings", Candidates(("a", "b"), (1, 2), labels=np.arange(4))),
    ):
        with pytest.raises(ConfigurationError, match=f"{kind}' needs {missing}"):
            SELECTIONS[kind].model_validate({}).choose(candidates)
