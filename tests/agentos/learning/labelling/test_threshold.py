from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.labelling.threshold import precise_threshold


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated confidences from 1/2 to 1: above t, labels are right with probability (2 + t) / 3.

    They are 1 - u^2 / 2 with u uniform on 0 to 1. Above t = 1 - s^2 / 2 their mean is 1 - s^2 / 6.
    """
    confidence = 1 - rng.random(count) ** 2 / 2
    return confidence, rng.random(count) < confidence


@pytest.mark.parametrize(("precision", "certainty"), [(0.9, 0.9), (0.95, 0.8)])
def test_precision_is_reached_as_often_as_stated(precision: float, certainty: float) -> None:
    rng = np.random.default_rng(0)
    limits = [
        precise_threshold(*draw(rng, 1500), draw(rng, 700)[0], precision, certainty)
        for _ in range(300)
    ]
    found = [limit for limit in limits if limit is not None]
    failures = sum((2 + limit) / 3 < precision for limit in found)
    assert failures <= (1 - certainty) * len(limits)
    assert len(found) > 0.9 * len(limits)


def test_more_texts_let_the_threshold_come_near_the_best_one() -> None:
    rng = np.random.default_rng(0)
    limit = precise_threshold(*draw(rng, 200_000), draw(rng, 20_000)[0], 0.9, 0.95)
    assert limit is not None
    assert 0.7 <= limit < 0.82  # (2 + 0.7) / 3 = 0.9


def test_right_labels_are_all_accepted() -> None:
    confidence = np.linspace(0.5, 0.9, 100)
    assert precise_threshold(confidence, np.ones(100, bool), confidence, 0.95, 0.95) == 0.0


def test_few_or_wrong_labels_are_never_certain() -> None:
    confidence = np.linspace(0.5, 0.9, 100)
    assert precise_threshold(confidence, np.zeros(100, bool), confidence, 0.95, 0.95) is None
    # 0.95^58 > 0.05: not even 58 right labels of 58 are proof.
    assert precise_threshold(confidence[:58], np.ones(58, bool), confidence, 0.95, 0.95) is None
    assert precise_threshold(np.zeros(0), np.zeros(0, bool), np.zeros(0), 0.95, 0.95) is None


def test_equal_confidences_are_accepted_or_left_together() -> None:
    confidence = np.repeat([0.9, 0.6], 200)
    right = np.r_[np.ones(200, bool), np.arange(200) % 2 == 0]
    assert precise_threshold(confidence, right, confidence, 0.95, 0.95) == 0.6


def test_slip_of_the_most_confident_label_does_not_end_it_all() -> None:
    confidence = np.linspace(0.9, 0.5, 400)
    right = np.ones(400, bool)
    right[3] = False
    assert precise_threshold(confidence, right, confidence, 0.95, 0.95) == 0.0
    right[::20] = False  # 1 of 20 is wrong: no share is certain to be right 95 % of the time
    assert precise_threshold(confidence, right, confidence, 0.95, 0.95) is None
