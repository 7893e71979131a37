from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from agentos.learning.knowledge.novelty import ConformalKnn
from protocols.errors import ConfigurationError

WIDTH = 8


def texts(rng: np.random.Generator, count: int, centre: float = 1.0) -> np.ndarray:
    return centre * np.eye(WIDTH)[0] + 0.3 * rng.standard_normal((count, WIDTH))


def test_p_values_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    known, calibration, new = texts(rng, 20), texts(rng, 30), texts(rng, 10)

    def score(row: np.ndarray) -> float:
        distances = sorted(1 - row @ k / np.linalg.norm(row) / np.linalg.norm(k) for k in known)
        return float(np.mean(distances[:3]))

    scores = [score(row) for row in calibration]
    slow = [(1 + sum(s >= score(row) - 1e-12 for s in scores)) / 31 for row in new]
    found = ConformalKnn(alpha=0.1, k=3).fit(known, calibration).p_values(new)
    np.testing.assert_allclose(found, slow)


@pytest.mark.parametrize("alpha", [0.02, 0.1])
def test_false_alarms_keep_to_their_rate(alpha: float) -> None:
    alarms = repeats = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        detector = ConformalKnn(alpha=alpha, k=3).fit(texts(rng, 40), texts(rng, 99))
        # One new text each: alarms of one calibration are not independent of each other.
        alarms += int(detector.novel(texts(rng, 1))[0])
        repeats += 1
    assert alarms <= binom.isf(0.001, repeats, alpha)
    assert alarms >= binom.isf(0.999, repeats, alpha)  # not by never raising one


def test_texts_from_elsewhere_are_novel() -> None:
    rng = np.random.default_rng(1)
    detector = ConformalKnn(alpha=0.02).fit(texts(rng, 50), texts(rng, 100))
    assert detector.novel(texts(rng, 50, centre=-1.0)).all()


def test_too_few_texts_for_the_level_are_refused() -> None:
    rng = np.random.default_rng(0)
    ConformalKnn(alpha=0.01).fit(texts(rng, 50), texts(rng, 99))
    with pytest.raises(ConfigurationError, match="99 for calibration"):
        ConformalKnn(alpha=0.01).fit(texts(rng, 50), texts(rng, 98))
    with pytest.raises(ConfigurationError, match="too few"):
        ConformalKnn(alpha=0.5, k=5).fit(texts(rng, 4), texts(rng, 99))
