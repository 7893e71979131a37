"""Heads against scikit-learn and slow references; folds and the guards around them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from agents.answering import ADAPTATIONS
from agents.answering.adapt import (
    Linear,
    Prototype,
    fold_rows,
    out_of_fold,
    prepared,
)
from agents.answering.answers import Examples
from agents.answering.logistic import (
    LARGEST_INVERSE,
    fit_regression,
    inverse_temperature,
    softmax,
)
from protocols.errors import ConfigurationError

ORIGIN = "0123456789abcdef"


def texts(n: int = 60, width: int = 5, classes: int = 3, seed: int = 0):
    """Embeddings around a mean for each class, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    means = 1.5 * rng.standard_normal((classes, width))
    rows = (means[labels] + rng.standard_normal((n, width))).astype(np.float32)
    return Examples("fit", rng.permutation(1000)[:n].astype(np.int64), rows), labels


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_regression_equals_that_of_scikit_learn(l2):
    examples, labels = texts()
    rows = examples.embeddings.astype(np.float64)
    fitted = fit_regression(rows, labels, 3, l2)
    known = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit(rows, labels)
    np.testing.assert_allclose(fitted.weight.T, known.coef_, atol=1e-4)
    ours = fitted.bias - fitted.bias.mean()  # a constant changes no probability
    np.testing.assert_allclose(ours, known.intercept_ - known.intercept_.mean(), atol=1e-4)
    assert fitted.evaluations > 1


def test_regression_with_an_offset_is_at_a_stationary_point():
    # The loss is strictly convex in the weights: where its gradient is 0 is the minimum.
    examples, labels = texts()
    rows = examples.embeddings.astype(np.float64)
    offset = np.random.default_rng(3).standard_normal((60, 3))
    fitted = fit_regression(rows, labels, 3, 2.0, offset)
    errors = softmax(offset + rows @ fitted.weight + fitted.bias) - np.eye(3)[labels]
    np.testing.assert_allclose(rows.T @ errors + 2.0 * fitted.weight, 0, atol=1e-5)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=1e-5)
    assert np.abs(fitted.weight - fit_regression(rows, labels, 3, 2.0).weight).max() > 0.01


def test_linear_head_is_a_regression_on_embeddings_of_mean_squared_length_one():
    examples, labels = texts()
    head = Linear(l2=0.5).head(examples.embeddings, labels, 3)
    rows = prepared(examples.embeddings, head.centre, head.scale)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
    assert np.square(rows).sum(axis=1).mean() == pytest.approx(1)
    known = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000).fit(rows, labels)
    found = softmax(head.scores(examples.embeddings))
    np.testing.assert_allclose(found, known.predict_proba(rows), atol=1e-5)


def test_prototype_scores_are_cosines_to_class_means():
    examples, labels = texts()
    scores = Prototype().head(examples.embeddings, labels, 3).scores(examples.embeddings)
    rows = examples.embeddings.astype(np.float64)
    centre = sum(rows) / len(rows)
    unit = [(row - centre) / np.sqrt(((row - centre) ** 2).sum()) for row in rows]
    for label in range(3):
        mean = np.mean([unit[i] for i in range(60) if labels[i] == label], axis=0)
        for i in range(60):
            assert scores[i, label] == pytest.approx(unit[i] @ mean / np.linalg.norm(mean))


def test_inverse_temperature_minimises_the_smoothed_cross_entropy():
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((80, 4)), rng.integers(4, size=80)
    scores[np.arange(80), labels] += 1.5
    targets = np.full((80, 4), 1 / 82 / 3)
    targets[np.arange(80), labels] = 1 - 1 / 82

    def loss(inverse):
        return -(targets * np.log(softmax(inverse * scores))).sum()

    best = minimize_scalar(loss, bounds=(0.01, 20), method="bounded", options={"xatol": 1e-9})
    assert inverse_temperature(scores, labels) == pytest.approx(best.x, rel=1e-4)
    # Calibration undoes a scale of the scores.
    scaled = inverse_temperature(4 * scores, labels)
    assert scaled == pytest.approx(best.x / 4, rel=1e-4)


def test_inverse_temperature_stays_finite_without_a_mistake():
    labels = np.arange(30) % 3
    assert 1 < inverse_temperature(np.eye(3)[labels], labels) < LARGEST_INVERSE / 10


@pytest.mark.parametrize("kind", ADAPTATIONS)
def test_out_of_fold_answers_are_those_of_heads_fitted_without_the_text(kind):
    adaptation = ADAPTATIONS[kind]()
    examples, labels = texts()
    found = out_of_fold(adaptation, examples, labels, 3, ORIGIN, folds=4, seed=7).answers
    order = np.argsort(examples.ids)
    folds = fold_rows(labels[order], 4, 7, "out_of_fold")
    assert sorted(np.concatenate(folds)) == list(range(60))
    for fold in folds:
        held = order[fold]
        assert (np.bincount(labels[held]) == 5).all()
        rest = np.array([i for i in range(60) if i not in set(held)])
        training = Examples("fit", examples.ids[rest], examples.embeddings[rest])
        head = adaptation.fit(training, labels[rest], 3, 7)
        assert not np.isin(examples.ids[held], head.seen).any()
        expected = softmax(head.scores(examples.embeddings[held]))
        np.testing.assert_array_equal(found.probabilities[held], expected)
    assert not found.in_sample.any()


def test_folds_follow_the_seed_and_the_purpose():
    labels = np.arange(40) % 2
    first = fold_rows(labels, 4, 0, "a")
    assert [f.tolist() for f in first] == [f.tolist() for f in fold_rows(labels, 4, 0, "a")]
    assert [f.tolist() for f in first] != [f.tolist() for f in fold_rows(labels, 4, 1, "a")]
    assert [f.tolist() for f in first] != [f.tolist() for f in fold_rows(labels, 4, 0, "b")]


def test_out_of_fold_needs_two_texts_of_each_class():
    examples, labels = texts()
    labels = np.where(labels == 2, 1, labels)
    labels[0] = 2
    with pytest.raises(ConfigurationError, match="class 2 has too few") as caught:
        out_of_fold(Linear(), examples, labels, 3, ORIGIN)
    assert caught.value.hint


def test_head_fitted_to_one_text_a_class_has_no_temperature_to_fit():
    examples, labels = texts(n=3)
    head = Prototype().fit(examples, labels, 3)
    assert head.inverse_temperature == 1.0
    assert (softmax(head.scores(examples.embeddings)).argmax(axis=1) == labels).all()


def test_answer_abstains_below_a_probability():
    examples, labels = texts()
    head = Linear().fit(examples, labels, 3)
    asked = Examples("query", examples.ids + 5000, examples.embeddings)
    best = head.answer(asked, ORIGIN).probabilities.max(axis=1)
    np.testing.assert_array_equal(head.answer(asked, ORIGIN, 0.8).abstains, best < 0.8)
    assert not head.answer(asked, ORIGIN).abstains.any()
