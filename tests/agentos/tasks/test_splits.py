"""Splits of a task: shares, labels, and near duplicates on one side."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentos.tasks.resemblance import resembling
from agentos.tasks.splits import SplitConfig, TaskSplits, split_task
from protocols.errors import ConfigurationError
from protocols.seeding import generator


def parts(splits: TaskSplits) -> list[np.ndarray]:
    return [splits.fit, splits.calibrate, splits.test]


@settings(max_examples=50)
@given(texts=st.integers(12, 200), classes=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_parts_divide_the_texts_in_proportion_with_groups_whole(texts, classes, seed) -> None:
    rng = generator(seed, "case")
    groups = rng.integers(texts, size=texts)
    labels = [f"label {code}" for code in rng.integers(classes, size=texts)]
    config = SplitConfig(fit=0.4, calibrate=0.2, test=0.4)
    found = split_task(labels, groups, config, seed)
    together = np.concatenate(parts(found))
    assert sorted(together.tolist()) == list(range(texts))
    sides = [set(groups[rows].tolist()) for rows in parts(found)]
    assert sum(map(len, sides)) == len(set().union(*sides))
    largest = max(Counter(groups.tolist()).values())
    for rows, share in zip(parts(found), (0.4, 0.2, 0.4), strict=True):
        assert abs(len(rows) - share * texts) <= largest
    again = split_task(labels, groups, config, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts(found), parts(again), strict=True))


def test_every_label_is_divided_in_proportion() -> None:
    labels = ["a"] * 100 + ["b"] * 50 + ["c"] * 10
    found = split_task(labels, np.arange(160), SplitConfig())
    for rows, share in zip(parts(found), (0.4, 0.2, 0.4), strict=True):
        counts = Counter(labels[row] for row in rows)
        for label, size in (("a", 100), ("b", 50), ("c", 10)):
            assert abs(counts[label] - share * size) <= 1
    other = split_task(labels, np.arange(160), SplitConfig(), seed=1)
    assert not np.array_equal(found.fit, other.fit)


def test_near_duplicates_are_one_group() -> None:
    rng = generator(0, "words")
    plain = [" ".join(f"w{word}" for word in rng.integers(500, size=40)) for _ in range(30)]
    near = [f"{text} and" for text in plain]
    groups = resembling([*plain, *near])
    assert groups[:30].tolist() == groups[30:].tolist()
    assert len(set(groups.tolist())) == 30


def test_too_few_texts_and_shares_that_are_no_whole_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="too few texts") as caught:
        split_task(["a", "b", "a"], np.zeros(3, dtype=int), SplitConfig())
    assert caught.value.hint
    with pytest.raises(ConfigurationError, match="do not match"):
        split_task(["a"], np.zeros(2, dtype=int), SplitConfig())
    with pytest.raises(ValidationError, match="is not 1"):
        SplitConfig(fit=0.5, calibrate=0.2, test=0.4)
