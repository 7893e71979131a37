from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from agentos.evaluation.similarity import (
    MEASURES,
    linear_cka,
    mutual_knn,
    pairwise,
    procrustes_residual,
    rotation_onto,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X @ RNG.normal(size=(6, 9)) + RNG.normal(size=(40, 9))).astype(np.float32)
FUNCTIONS = [measure.function for measure in MEASURES.values()]


def centred(rows):
    return rows.astype(float) - rows.astype(float).mean(axis=0)


def slow_cka(x, y):
    """By kernels and HSIC, as the paper defines it, in plain loops."""
    n = len(x)
    k, m = (
        [[sum(a * b for a, b in zip(u, v, strict=True)) for v in rows] for u in rows]
        for rows in (x.tolist(), y.tolist())
    )

    def hsic(a, b):
        h = np.eye(n) - 1 / n
        return np.trace(np.array(a) @ h @ np.array(b) @ h)

    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def test_linear_cka_equals_its_definition_by_kernels():
    assert linear_cka(X, Y) == pytest.approx(slow_cka(X.astype(float), Y.astype(float)))
    assert 0.1 < linear_cka(X, Y) < 0.99


def test_procrustes_residual_equals_the_distance_after_the_rotation_of_scipy():
    x, y = (rows / np.linalg.norm(rows) for rows in (centred(X), centred(Y)))
    padded = np.pad(x, ((0, 0), (0, 3)))
    rotation, _ = orthogonal_procrustes(padded, y)
    expected = np.sum((padded @ rotation - y) ** 2) / 2
    assert procrustes_residual(X, Y) == pytest.approx(expected)
    assert procrustes_residual(Y, X) == pytest.approx(expected)


def test_mutual_knn_equals_a_slow_count():
    def neighbours(rows, i, k):
        def cosine(u, v):
            return sum(a * b for a, b in zip(u, v, strict=True)) / math.hypot(*u) / math.hypot(*v)

        others = [j for j in range(len(rows)) if j != i]
        return set(sorted(others, key=lambda j: -cosine(rows[i], rows[j]))[:k])

    for k in (1, 5):
        shares = [
            len(neighbours(X.tolist(), i, k) & neighbours(Y.tolist(), i, k)) / k for i in range(40)
        ]
        assert mutual_knn(X, Y, k) == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=list(MEASURES))
def test_turning_and_scaling_change_no_measure(measure):
    turned = 3 * X @ ortho_group.rvs(6, random_state=1)
    assert measure.function(X, turned) == pytest.approx(measure.identical, abs=1e-6)
    assert measure.function(turned, Y) == pytest.approx(measure.function(X, Y), abs=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_measures_are_symmetric_and_lie_between_zero_and_one(function):
    assert function(X, Y) == pytest.approx(function(Y, X))
    assert 0 <= function(X, Y) <= 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_collapsed_encoder_is_measured_without_a_warning(function):
    assert 0 <= function(np.ones((40, 3), np.float32), Y) <= 1
    assert 0 <= function(np.zeros((40, 3), np.float32), np.zeros((40, 3), np.float32)) <= 1


def test_measures_of_unrelated_encoders_are_near_nothing():
    a, b = (np.random.default_rng(seed).normal(size=(2000, 4)) for seed in (1, 2))
    assert linear_cka(a, b) < 0.01
    assert procrustes_residual(a, b) > 0.9
    assert mutual_knn(a, b) < 0.03


def test_pairwise_holds_every_pair_once():
    rows = [X, Y, Y[:, :4]]
    matrix = pairwise(rows, linear_cka)
    for i in range(3):
        for j in range(3):
            assert matrix[i, j] == pytest.approx(linear_cka(rows[i], rows[j]))


def test_rotation_equals_that_of_scipy():
    a, b = X[:, :2], Y[:, :2]
    expected, _ = orthogonal_procrustes(centred(a), centred(b))
    np.testing.assert_allclose(rotation_onto(a, b), expected, atol=1e-9)
