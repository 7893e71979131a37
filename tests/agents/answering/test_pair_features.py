"""Features of pairs against plain loops, and heads that learn relations from them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.answering import ADAPTATIONS, Examples, fit_fusion, out_of_fold
from agents.answering.fuse import FUSIONS
from agents.answering.pair_features import pair_examples, pair_features
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(0)


def slow_features(first, second, symmetric):
    rows = []
    for u, v in zip(first.tolist(), second.tolist(), strict=True):
        u, v = ([x / (math.hypot(*w) or 1.0) for x in w] for w in (u, v))
        row = [] if symmetric else [*u, *v]
        row += [abs(a - b) for a, b in zip(u, v, strict=True)]
        row += [math.sqrt(len(u)) * a * b for a, b in zip(u, v, strict=True)]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("symmetric", [True, False])
def test_features_are_those_of_the_plain_loop(symmetric: bool):
    first, second = RNG.standard_normal((2, 6, 5)).astype(np.float32)
    first[0] = 0.0
    found = pair_features(first, second, symmetric=symmetric)
    assert found == pytest.approx(slow_features(first, second, symmetric))
    assert found.shape == (6, 10 if symmetric else 20)


def test_exchanged_texts_change_directed_features_alone():
    first, second = RNG.standard_normal((2, 4, 5))
    assert np.array_equal(
        pair_features(first, second, symmetric=True), pair_features(second, first, symmetric=True)
    )
    assert not np.allclose(
        pair_features(first, second, symmetric=False), pair_features(second, first, symmetric=False)
    )


def related(split: str, count: int, seed: int, directed: bool):
    """Pairs of two agents' embeddings; the label tells paraphrases, or which text is the more general."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    first, other = rng.standard_normal((2, count, 8))
    near = first + 0.4 * other
    if directed:  # texts differ along one direction, in the one or the other sense
        shift = np.where(labels, 1.0, -1.0)[:, None] * np.eye(8)[0]
        first, second = first + shift, near - shift
    else:
        second = np.where(labels[:, None], near, other)
    ids = np.arange(count, dtype=np.int64) + 1000 * seed
    turned = [np.linalg.qr(np.random.default_rng(a).standard_normal((8, 8)))[0] for a in range(2)]
    views = [
        pair_examples(split, ids, first @ turn, second @ turn, symmetric=not directed)
        for turn in turned
    ]
    return views, labels


@pytest.mark.parametrize("directed", [True, False])
def test_heads_and_fusions_of_texts_learn_relations_of_pairs(directed: bool):
    views, labels = related("fit", 200, 0, directed)
    tests, truth = related("test", 400, 1, directed)
    linear = ADAPTATIONS["linear"]()
    heads = [linear.fit(view, labels, 2) for view in views]
    answers = [h.answer(t, o * 16) for h, t, o in zip(heads, tests, "ab", strict=True)]
    assert min(answer.right(truth).mean() for answer in answers) > 0.8
    held = [
        out_of_fold(linear, v, labels, 2, o * 16).answers for v, o in zip(views, "ab", strict=True)
    ]
    fused = fit_fusion(FUSIONS["stacking"](), held, labels).fuse(answers)
    assert fused.right(truth).mean() > 0.8


def test_plain_embeddings_side_by_side_do_not_show_a_paraphrase():
    """The control: a linear head needs the products, so that the features are worth their width."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    first, other = rng.standard_normal((2, 400, 8))
    second = np.where(labels[:, None], first + 0.4 * other, other)
    joined = np.concatenate([first, second], axis=1)
    features = pair_features(first, second, symmetric=True)
    ids = np.arange(400, dtype=np.int64)
    linear = ADAPTATIONS["linear"]()
    right = []
    for rows in (joined, features):
        fit = Examples("fit", ids[:200], rows[:200])
        test = Examples("test", ids[200:], rows[200:])
        head = linear.fit(fit, labels[:200], 2)
        right.append(head.answer(test, "a" * 16).right(labels[200:]).mean())
    assert right[0] < 0.65 < 0.9 < right[1]


def test_sides_that_do_not_match_are_refused():
    rows = RNG.standard_normal((3, 4))
    with pytest.raises(ConfigurationError, match="two sides"):
        pair_features(rows, rows[:2], symmetric=True)
    with pytest.raises(ConfigurationError, match="ids and pairs"):
        pair_examples("fit", np.arange(2), rows, rows, symmetric=True)
