"""Out-of-fold probabilities: folds, and that no text answers for itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from agentos.tasks.out_of_fold import fold_of, out_of_fold
from protocols.errors import ConfigurationError
from protocols.seeding import generator


def test_folds_hold_every_label_evenly_and_groups_whole() -> None:
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    fold = fold_of(labels, 5, seed=0)
    for label, each in ((0, 10), (1, 5), (2, 2)):
        assert np.bincount(fold[labels == label], minlength=5).tolist() == [each] * 5
    assert (fold != fold_of(labels, 5, seed=1)).any()
    groups = np.arange(85) // 3
    grouped = fold_of(labels, 5, 0, groups)
    assert all(len(set(grouped[groups == group])) == 1 for group in range(29))


def test_probabilities_are_those_of_a_fit_without_the_fold() -> None:
    rng = generator(0, "rows")
    labels = np.arange(40) % 2
    rows = rng.normal(size=(40, 3)) + labels[:, None]
    found, fold = out_of_fold(rows, labels, seed=3), fold_of(labels, 5, seed=3)
    for number in range(5):
        out, inside = rows[fold != number], rows[fold == number]
        mean, deviation = out.mean(axis=0), out.std(axis=0)
        model = LogisticRegression(C=1.0, max_iter=1000)
        model.fit((out - mean) / deviation, labels[fold != number])
        expected = model.predict_proba((inside - mean) / deviation)
        np.testing.assert_allclose(found.probabilities[fold == number], expected, atol=1e-3)
        np.testing.assert_allclose(found.priors[fold == number], 0.5)


def test_embeddings_that_only_know_each_text_by_heart_are_no_better_than_chance() -> None:
    """With a direction of its own for each text, every in-sample answer would be right."""
    labels = generator(0, "labels").integers(2, size=200)
    found = out_of_fold(np.eye(200), labels, seed=0)
    assert np.mean(found.probabilities.argmax(axis=1) == labels) < 0.65


def test_labels_that_the_other_folds_lack_have_probability_zero() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2])
    rows = generator(0, "rows").normal(size=(21, 2))
    found = out_of_fold(rows, labels, seed=0)
    assert found.probabilities[20, 2] == found.priors[20, 2] == 0
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (np.zeros((5, 2)), np.zeros(5, dtype=int)),
        (np.zeros((4, 2)), np.arange(5) % 2),
        (np.full((5, 2), np.nan), np.arange(5) % 2),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_a_hint(rows, labels) -> None:
    with pytest.raises(ConfigurationError) as caught:
        out_of_fold(rows, labels, seed=0)
    assert caught.value.hint
