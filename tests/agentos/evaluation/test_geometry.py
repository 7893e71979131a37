from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import entropy

from agentos.evaluation import Geometry, HeldOut
from agentos.evaluation.geometry import (
    alignment,
    deviations,
    halves,
    mean_share,
    rankme,
    uniformity,
)
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError

ROWS = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
OTHERS = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)


def unit(rows):
    return rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)


def test_alignment_equals_a_slow_reference():
    squared = [math.dist(u, v) ** 2 for u, v in zip(unit(ROWS), unit(OTHERS), strict=True)]
    assert alignment(ROWS, OTHERS) == pytest.approx(sum(squared) / len(squared))


def test_uniformity_equals_scipy_pairwise_distances():
    expected = math.log(np.exp(-2 * pdist(unit(ROWS), "sqeuclidean")).mean())
    assert uniformity(ROWS) == pytest.approx(expected)


def test_rankme_equals_scipy_entropy_of_singular_values():
    singular = np.sqrt(np.linalg.eigvalsh(ROWS.T.astype(float) @ ROWS.astype(float)))
    assert rankme(ROWS) == pytest.approx(math.exp(entropy(singular / singular.sum())))


def test_deviations_equal_a_slow_reference():
    rows = unit(ROWS).tolist()
    for dimension, found in enumerate(deviations(ROWS)):
        column = [row[dimension] for row in rows]
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        assert found == pytest.approx(math.sqrt(5 * variance))


def test_spread_is_one_for_gaussian_rows_and_dead_dimensions_are_counted():
    rows = np.random.default_rng(3).normal(size=(400, 8)).astype(np.float32)
    assert deviations(rows).mean() == pytest.approx(1, abs=0.05)
    rows[:, :2] = 1e-3
    found = Geometry().evaluate(
        FunctionEncoder(lambda texts: rows[[int(text.split()[-1]) for text in texts]]),
        HeldOut(tuple(f"a b {i} {i} c d e {i}" for i in range(400))),
        seed=0,
    )
    assert found["dead_dimensions"] == 2 / 8
    assert found["dimension_spread"] < 0.95


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_collapsed_encoder_has_no_spread_and_one_direction(value):
    rows = np.full((30, 4), value, np.float32)
    assert alignment(rows, rows) == 0
    assert uniformity(rows) == pytest.approx(0, abs=1e-12)
    assert rankme(rows) == pytest.approx(1, abs=1e-6)
    assert deviations(rows) == pytest.approx(0, abs=1e-12)


def test_scaling_an_encoder_changes_none_of_the_three():
    assert alignment(5 * ROWS, OTHERS) == pytest.approx(alignment(ROWS, OTHERS))
    assert uniformity(5 * ROWS) == pytest.approx(uniformity(ROWS))
    assert rankme(5 * ROWS) == pytest.approx(rankme(ROWS))


def test_rankme_of_orthogonal_rows_is_their_number():
    assert rankme(np.eye(7, dtype=np.float32)) == pytest.approx(7)


def test_halves_cut_at_the_middle_word_and_drop_short_texts():
    assert halves(["one two three four\nfive six seven eight nine", "one two three"]) == [
        ("one two three four", "five six seven eight nine")
    ]


def test_halves_of_a_script_without_spaces_are_of_characters():
    assert halves(
        ["\u4eca\u65e5\u306f\u516c\u5712\u3092\n\u6b69\u304f\u3002", "\u4eca\u65e5\u306f"]
    ) == [("\u4eca\u65e5\u306f\u516c", "\u5712\u3092 \u6b69\u304f\u3002")]


def test_documents_caps_the_texts_that_are_embedded():
    texts = tuple(f"a b c d {i} e f g" for i in range(50))
    seen = []

    def embed(asked):
        seen.extend(asked)
        return np.ones((len(asked), 2), np.float32)

    Geometry(documents=8).evaluate(FunctionEncoder(embed), HeldOut(texts), seed=0)
    assert len(seen) == 16


def test_check_refuses_fewer_than_two_documents_of_eight_words():
    with pytest.raises(ConfigurationError, match="8 words or more; actual: 1"):
        Geometry().check(HeldOut(("a b c d e f g h", "short")))


def test_share_of_the_mean_equals_a_slow_reference():
    moved = ROWS + 0.7
    columns = moved.astype(float).T.tolist()
    mean = [sum(column) / len(column) for column in columns]
    lengths = [sum(x * x for x in row) for row in moved.astype(float).tolist()]
    expected = sum(m * m for m in mean) / (sum(lengths) / len(lengths))
    assert mean_share(moved) == pytest.approx(expected)
    assert mean_share(ROWS - ROWS.mean(axis=0)) == pytest.approx(0, abs=1e-9)
    assert mean_share(np.full((4, 3), 0.1, np.float32)) == pytest.approx(1.0)
    assert mean_share(np.zeros((4, 3), np.float32)) == 1.0
