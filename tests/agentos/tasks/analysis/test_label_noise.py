"""Noise of labels and V-information against slow references, and on labels that were flipped on purpose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentos.tasks.analysis.label_noise import label_noise
from agentos.tasks.analysis.v_information import pointwise_v_information
from agentos.tasks.out_of_fold import OutOfFold, out_of_fold
from protocols.seeding import generator


def clusters(texts: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(seed, "clusters")
    labels = np.arange(texts) % classes
    means = 3 * rng.normal(size=(classes, 8))
    return means[labels] + rng.normal(size=(texts, 8)), labels


def test_joint_and_suspects_are_those_of_a_loop_over_texts() -> None:
    rng = generator(0, "probabilities")
    probabilities = rng.dirichlet(np.ones(4), size=80)
    labels = rng.integers(3, size=80)  # the fourth label has no text
    confident = [[0.0] * 4 for _ in range(4)]
    suspects = []
    for text in range(80):
        passed = []
        for j in range(4):
            mine = [probabilities[i, j] for i in range(80) if labels[i] == j]
            if mine and probabilities[text, j] >= sum(mine) / len(mine):
                passed.append((probabilities[text, j], j))
        if passed:
            guess = max(passed)[1]
            confident[labels[text]][guess] += 1
            if guess != labels[text]:
                suspects.append((probabilities[text, labels[text]], text))
    found = label_noise(probabilities, labels)
    for i in range(4):
        row, count = sum(confident[i]), int(np.sum(labels == i))
        for j in range(4):
            expected = confident[i][j] / row * count / 80 if row else 0.0
            assert found.joint[i, j] == pytest.approx(expected)
    assert found.suspects.tolist() == [text for _, text in sorted(suspects)]
    assert found.rate == pytest.approx(1 - sum(found.joint[i, i] for i in range(4)))


@pytest.mark.parametrize("flipped", [0.0, 0.1, 0.25])
def test_flipped_labels_are_counted_and_found(flipped: float) -> None:
    rows, truth = clusters(600, 3, seed=1)
    rng = generator(1, "flips")
    wrong = rng.random(600) < flipped
    labels = np.where(wrong, (truth + rng.integers(1, 3, size=600)) % 3, truth)
    found = label_noise(out_of_fold(rows, labels, 0).probabilities, labels)
    assert found.rate == pytest.approx(wrong.mean(), abs=0.03)
    if flipped:
        assert np.mean(wrong[found.suspects]) > 0.9
        assert np.mean(np.isin(np.flatnonzero(wrong), found.suspects)) > 0.9


def test_in_sample_probabilities_would_hide_the_noise() -> None:
    """A model that knows its texts by heart agrees with wrong labels: why answers are out of fold."""
    labels = generator(0, "labels").integers(2, size=100)
    by_heart = np.eye(2)[labels]
    assert label_noise(by_heart, labels).rate == 0
    assert label_noise(out_of_fold(np.eye(100), labels, 0).probabilities, labels).rate > 0.2


def test_information_is_the_difference_of_two_logarithms() -> None:
    answers = OutOfFold(np.array([[0.8, 0.2], [0.1, 0.9], [1.0, 0.0]]), np.full((3, 2), 0.25))
    found = pointwise_v_information(answers, np.array([0, 0, 1]))
    expected = [math.log2(0.8 / 0.25), math.log2(0.1 / 0.25), math.log2(1e-6 / 0.25)]
    np.testing.assert_allclose(found, expected)


def test_information_is_large_where_texts_tell_and_not_above_zero_where_they_do_not() -> None:
    rows, labels = clusters(400, 4, seed=0)
    told = pointwise_v_information(out_of_fold(rows, labels, 0), labels)
    assert 1.8 < told.mean() < 2.0  # of two bits
    noise = generator(0, "noise").normal(size=rows.shape)
    assert pointwise_v_information(out_of_fold(noise, labels, 0), labels).mean() < 0.05
