"""Gaps between groups where there is one, where there is none, and against a slow count."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.audit.bias.group_gaps import document_scores, gaps, groups_of
from agentos.data.sources import Csv, Docstrings
from protocols.errors import ConfigurationError

GROUPS = ["a"] * 30 + ["b"] * 20 + ["c"] * 4 + [None] * 6


def test_a_gap_is_found_where_there_is_one_and_small_groups_are_left_out():
    values = np.array([0.9] * 30 + [0.1] * 20 + [5.0] * 10)
    (found,) = gaps({"right": values}, GROUPS)
    assert dict(found.groups) == {"a": (30, pytest.approx(0.9)), "b": (20, pytest.approx(0.1))}
    assert found.gap == pytest.approx(0.8)
    assert found.p == pytest.approx(1 / 2001)


def test_p_is_uniform_where_groups_differ_by_chance_alone():
    draws = np.random.default_rng(0)
    scores = {str(number): draws.normal(size=60) for number in range(40)}
    found = np.array([each.p for each in gaps(scores, GROUPS)])
    assert 0.35 < found.mean() < 0.65
    assert (found < 0.05).sum() <= 6  # two are expected


def test_one_group_alone_is_refused():
    with pytest.raises(ConfigurationError, match="no two groups"):
        gaps({"right": np.zeros(60)}, ["a"] * 55 + ["b"] * 5)


class Bag:
    """An encoder that embeds by the letters of a text."""

    def embed(self, texts):
        return np.array([[t.count(c) for c in "abcdefgh"] for t in texts], np.float32) + 0.01


def test_documents_are_scored_one_by_one():
    texts = [f"{c} {c} {c} {c}" for c in "abcdefgh" for _ in range(12)]
    labels = [t[0] for t in texts]
    found = document_scores(Bag(), texts, labels)
    assert found["neighbours"].tolist() == [1.0] * 96  # the ten nearest are of the same letter
    assert np.allclose(
        found["halves"], 1 / 12
    )  # twelve second halves are equal, and ties count against
    assert set(document_scores(Bag(), texts, [None] * 96)) == {"halves"}


class Rows:
    """A corpus of three held-out documents, by the ids of their source."""

    heldout = np.array([0, 1, 2])

    def __init__(self, ids):
        self._ids = ids

    def ids(self, rows):
        return self._ids

    def labels(self, rows):
        return ["x", "y", "x"]


def test_groups_come_from_another_column_of_the_source(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "text,label,region\none two three,x,north\nfour five six,y,south\nseven eight,x,north\n"
    )
    source = Csv(path=str(path), label="label")
    corpus = Rows([each.id for each in source.documents()])
    assert groups_of(source, corpus, "region") == ["north", "south", "north"]
    assert groups_of(source, corpus, "label") == ["x", "y", "x"]
    with pytest.raises(ConfigurationError, match="no columns"):
        groups_of(Docstrings(), corpus, "region")
