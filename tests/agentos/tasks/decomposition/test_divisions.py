"""Divisions: what they refuse, how each kind divides, and when a division is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.tasks.decomposition import (
    Division,
    Given,
    Outcome,
    Part,
    Shards,
    Undivided,
    WholeTask,
    keeps,
)
from agentos.tasks.decomposition.text_shards import cut
from agents.answering import Answers
from protocols.errors import ConfigurationError
from protocols.seeding import generator

ROOT = Part("root", ((0, 1), (2,)))
FINE = Part("fine", ((0,), (1,)))
ALL = ((0,), (1,), (2,))


def known(labels, probabilities, split="fit") -> Answers:
    no = np.zeros(len(labels), bool)
    return Answers(split, np.arange(len(labels)), np.asarray(probabilities), no, no, ("0" * 16,))


def whole_task(costs=(1.0,), speeds=(1.0,)) -> WholeTask:
    return WholeTask(("c0", "c1", "c2"), np.asarray(costs, float), tuple(speeds))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "needs a name"),
        ((FINE, FINE), "needs a name"),
        ((Part("root", ((0, 1), (1, 2))),), "does not tell classes apart"),
        ((Part("root", ((0, 1, 2),)),), "does not tell classes apart"),
        ((Part("root", ((0,), (3,))),), "does not tell classes apart"),
        ((ROOT,), "no subtask tells 2 classes apart"),
        ((FINE,), "no subtask tells 3 classes apart"),
        ((ROOT, FINE, replace(FINE, name="again")), "none reads all others"),
        ((replace(ROOT, reads=("x",)), FINE), "after an unknown one"),
        ((replace(ROOT, reads=("fine",)), replace(FINE, reads=("root",))), "in a circle"),
        ((Part("a", ALL, rows=np.arange(2)), Part("b", ALL, rows=np.arange(1, 3))), "each text once"),
        ((Part("a", ALL, rows=np.arange(2)), Part("b", ALL)), "each text once"),
        ((replace(ROOT, rows=np.arange(2)), FINE), "each text once"),
    ],
)  # fmt: skip
def test_parts_that_do_not_answer_the_task_are_refused(parts, message) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Division(3, parts)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("costs", "speeds"),
    [
        ((), (1.0,)),
        ((1.0,), ()),
        ((-1.0,), (1.0,)),
        ((1.0,), (0.0,)),
        ((np.inf,), (1.0,)),
        ((np.nan,), (1.0,)),
        ((1.0,), (np.inf,)),
    ],
)
def test_work_and_speeds_that_divide_nothing_are_refused(costs, speeds) -> None:
    with pytest.raises(ConfigurationError, match="divided by the work of its texts"):
        whole_task(costs, speeds)


def test_order_puts_parts_after_those_that_they_read() -> None:
    second = replace(ROOT, reads=("fine",))
    last = Part("last", ALL, reads=("root", "fine"))
    division = Division(3, (last, second, FINE))
    assert [part.name for part in division.order] == ["fine", "root", "last"]
    assert division.answering((0, 1, 2)) is last


def test_labels_of_a_part_are_its_groups() -> None:
    assert ROOT.labels(np.array([0, 1, 2, 2])).tolist() == [0, 0, 1, 1]
    assert FINE.labels(np.array([0, 1, 2])).tolist() == [0, 1, -1]
    assert FINE.labels(np.array([0, 5])).tolist() == [0, -1]


@pytest.mark.parametrize("seed", range(5))
def test_shards_are_contiguous_and_each_as_long_as_its_agent_is_quick(seed: int) -> None:
    rng = generator(seed, "costs")
    costs, shares = rng.uniform(1, 9, size=80), rng.uniform(1, 4, size=3)
    shards = cut(costs, shares)
    assert np.concatenate(shards).tolist() == list(range(80))
    for rows, share in zip(shards, shares, strict=True):
        wanted = costs.sum() * share / shares.sum()
        assert abs(costs[rows].sum() - wanted) <= costs.max()


def test_fewer_texts_than_agents_leave_no_empty_shard() -> None:
    division = Shards(per_agent=3).divide(whole_task(costs=(2.0, 5.0), speeds=(1.0, 2.0)))
    assert [len(part.rows) for part in division.parts] == [1, 1]
    idle = Shards().divide(whole_task(costs=(0.0, 0.0), speeds=(1.0, 1.0)))
    assert [len(part.rows) for part in idle.parts] == [1, 1]


@pytest.mark.parametrize(
    ("subtasks", "message"),
    [
        ({"a": {"after": ["b"]}}, "which is no subtask"),
        ({"a": {"refines": "b"}}, "which is no group"),
        ({"a": {"groups": {"g": []}}}, "has no class"),
        ({"a": {"groups": {"g": ["x"]}}, "b": {"groups": {"g": ["y"]}}}, "named twice"),
        ({}, "at least 1 item"),
    ],
)
def test_given_subtasks_that_name_nothing_are_refused(subtasks, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Given(subtasks=subtasks)


@pytest.mark.parametrize(
    ("subtasks", "message"),
    [
        ({"a": {"groups": {"g": ["c0", "x"]}}}, "a class that the task has not"),
        (
            {"a": {"groups": {"g": ["c0", "c1"]}}, "b": {"refines": "g", "groups": {"h": ["c2"]}}},
            "does not tell apart",
        ),
        ({"a": {"groups": {"g": ["c0", "c1"]}}}, "no subtask tells 2 classes apart"),
        ({"a": {"after": ["b"]}, "b": {"after": ["a"]}}, "in a circle"),
        ({"a": {}, "b": {}}, "none reads all others"),
    ],
)
def test_given_subtasks_that_do_not_answer_the_task_are_refused(subtasks, message) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Given(subtasks=subtasks).divide(whole_task())
    assert caught.value.hint


LABELS = np.arange(20) % 2


def outcome(right: int, makespan_s: float, split="calibrate") -> Outcome:
    given = np.where(np.arange(20) < right, LABELS, 1 - LABELS)
    return Outcome(known(LABELS, np.eye(2)[given], split), makespan_s)


@pytest.mark.parametrize(
    ("right", "makespan_s", "tolerance", "kept"),
    [
        (12, 9.0, 0.0, True),  # better, at any time: five more, none lost, p = 1/32
        (11, 9.0, 0.0, False),  # four more may be chance: p = 1/16
        (7, 1.0, 0.0, False),  # as good, and no sooner
        (7, 0.9, 0.0, True),
        (6, 0.9, 0.0, False),
        (5, 0.9, 0.1, True),
        (5, 1.0, 0.1, False),
        (4, 0.9, 0.1, False),
    ],
)
def test_division_is_kept_only_where_it_beats_the_flat_task(right, makespan_s, tolerance, kept):
    flat = outcome(7, 1.0)
    decision, reason = keeps(
        Undivided(tolerance=tolerance), outcome(right, makespan_s), flat, LABELS
    )
    assert decision is kept
    assert ("is kept" if kept else "is dropped") in reason


@pytest.mark.parametrize("split", ["fit", "test"])
def test_nothing_is_kept_because_of_other_splits(split) -> None:
    with pytest.raises(ConfigurationError, match="must not be used"):
        keeps(Undivided(), outcome(8, 1.0, split), outcome(7, 1.0, split), LABELS)
