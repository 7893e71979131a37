from __future__ import annotations

import numpy as np
import pytest

from agents.answering.streaming_ridge import StreamingRidge
from protocols.errors import ConfigurationError

WIDTH, CLASSES, TEXTS = 12, 4, 300
RNG = np.random.default_rng(0)
LABELS = RNG.integers(CLASSES, size=TEXTS)
ROWS = (
    3 * RNG.standard_normal((CLASSES, WIDTH))[LABELS] + RNG.standard_normal((TEXTS, WIDTH))
).astype(np.float32)
CENTRE = ROWS[:50].mean(axis=0)


def begun() -> StreamingRidge:
    return StreamingRidge.begin(CENTRE, CLASSES)


def same(a: StreamingRidge, b: StreamingRidge) -> bool:
    return (
        a.gram.tobytes() == b.gram.tobytes()
        and a.sums.tobytes() == b.sums.tobytes()
        and a.texts == b.texts
        and a.head(0.5).weight.tobytes() == b.head(0.5).weight.tobytes()
    )


@pytest.mark.parametrize("portion", [1, 7, 299])
def test_stream_gives_the_batch_solution_to_the_bit(portion: int) -> None:
    order = np.random.default_rng(portion).permutation(TEXTS)
    streamed = begun()
    for start in range(0, TEXTS, portion):
        rows = order[start : start + portion]
        streamed = streamed.learn(ROWS[rows], LABELS[rows])
    assert same(streamed, begun().learn(ROWS, LABELS))


def test_unlearnt_texts_leave_no_trace() -> None:
    whole = begun().learn(ROWS, LABELS)
    assert same(whole.unlearn(ROWS[200:], LABELS[200:]), begun().learn(ROWS[:200], LABELS[:200]))


def test_head_is_the_slow_ridge_regression() -> None:
    away = ROWS.astype(np.float64) - CENTRE
    unit = away / np.linalg.norm(away, axis=1, keepdims=True)
    # An unpenalised constant is the same as centring features and targets.
    targets = np.eye(CLASSES)[LABELS]
    x, y = unit - unit.mean(axis=0), targets - targets.mean(axis=0)
    stacked = np.concatenate([x, np.sqrt(0.5) * np.eye(WIDTH)])
    weight = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((WIDTH, CLASSES))]), rcond=None)[
        0
    ]
    head = begun().learn(ROWS, LABELS).head(0.5)
    np.testing.assert_allclose(head.weight, weight, atol=1e-4)
    np.testing.assert_allclose(
        head.bias, targets.mean(axis=0) - unit.mean(axis=0) @ weight, atol=1e-4
    )
    assert (head.scores(ROWS).argmax(axis=1) == LABELS).mean() > 0.95


def test_a_class_that_comes_later_changes_no_old_sum() -> None:
    old = begun().learn(ROWS[LABELS < 3], LABELS[LABELS < 3])
    assert not old.head(0.5).weight[:, 3].any()
    new = old.learn(ROWS[LABELS == 3], LABELS[LABELS == 3])
    np.testing.assert_array_equal(new.sums[:, :3], old.sums[:, :3])


def test_nothing_learnt_or_too_much_unlearnt_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing to fit"):
        begun().head(1.0)
    with pytest.raises(ConfigurationError, match="that many"):
        begun().unlearn(ROWS, LABELS)
