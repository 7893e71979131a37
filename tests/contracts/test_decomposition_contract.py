"""Every decomposition divides a task into parts whose joined answers are those of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from agentos.tasks.decomposition import DECOMPOSITIONS, Decomposition, Division, Part, WholeTask
from protocols.seeding import generator

CLASSES = tuple("abcdefghi")
TEXTS = 57
FIELDS: Mapping[str, dict] = {
    "given": {
        "subtasks": {
            "hint": {"groups": {"left": ["a", "b", "c", "d"]}},
            "area": {"after": ["hint"], "groups": {"vowels": ["a", "e", "i"], "rest": ["b", "c", "d"]}},
            "vowel": {"refines": "vowels"},
            "rest": {"refines": "rest", "after": ["vowel"], "groups": {"low": ["b", "c"]}},
            "low": {"refines": "low", "floor": 0.5},
        }
    }
}  # fmt: skip
"""Parameters of kinds that need some."""


@pytest.fixture(params=DECOMPOSITIONS)
def decomposition(request) -> Decomposition:
    return DECOMPOSITIONS[request.param].model_validate(FIELDS.get(request.param, {}))


def whole_task() -> WholeTask:
    costs = generator(0, "costs").uniform(1, 30, size=TEXTS)
    return WholeTask(CLASSES, costs, (1.0, 3.0, 2.0))


def restricted(part: Part, whole_NK: np.ndarray) -> np.ndarray:
    """The answer of a part to its texts if it knew the distribution of the whole task."""
    rows_NK = whole_NK if part.rows is None else whole_NK[part.rows]
    shares = np.stack([rows_NK[:, group].sum(axis=1) for group in part.groups], axis=1)
    return shares / shares.sum(axis=1, keepdims=True)


def slowly(division: Division, answers: Mapping[str, np.ndarray], texts: int) -> np.ndarray:
    """Join by walking from the root to each class, text by text."""
    read_by = {name: {p.name for p in division.parts if name in p.reads} for name in answers}

    def answering(classes: set[int], text: int) -> tuple[Part, int]:
        for part in division.parts:
            fits = {each for group in part.groups for each in group} == classes
            again = [p for p in division.parts if p.name in read_by[part.name]]
            passed_on = any({c for g in p.groups for c in g} == classes for p in again)
            if fits and not passed_on:
                if part.rows is None:
                    return part, text
                if text in part.rows.tolist():
                    return part, part.rows.tolist().index(text)
        raise AssertionError(classes)

    found = np.empty((texts, division.classes))
    for text in range(texts):
        for wanted in range(division.classes):
            probability, classes = 1.0, set(range(division.classes))
            while len(classes) > 1:
                part, row = answering(classes, text)
                column = next(i for i, group in enumerate(part.groups) if wanted in group)
                probability *= answers[part.name][row, column]
                classes = set(part.groups[column])
            found[text, wanted] = probability
    return found


def test_kind_is_the_key_in_the_table() -> None:
    for kind, cls in DECOMPOSITIONS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__ is not None
        assert cls.__doc__.splitlines()[0].endswith(".")


def test_specification_survives_json(decomposition: Decomposition) -> None:
    kept = type(decomposition).model_validate_json(decomposition.model_dump_json())
    assert kept == decomposition


def test_parts_that_know_the_whole_join_to_the_whole(decomposition: Decomposition) -> None:
    division = decomposition.divide(whole_task())
    whole = generator(1, "whole").dirichlet(np.ones(len(CLASSES)), size=TEXTS)
    joined = division.join({part.name: restricted(part, whole) for part in division.parts})
    np.testing.assert_allclose(joined, whole, atol=1e-12)


def test_any_answers_join_to_the_distributions_of_a_slow_reference(
    decomposition: Decomposition,
) -> None:
    division = decomposition.divide(whole_task())
    answers = {
        part.name: generator(2, part.name).dirichlet(
            np.ones(len(part.groups)), size=TEXTS if part.rows is None else len(part.rows)
        )
        for part in division.parts
    }
    joined = division.join(answers)
    np.testing.assert_allclose(joined.sum(axis=1), 1.0)
    np.testing.assert_allclose(joined, slowly(division, answers, TEXTS), atol=1e-12)


def test_division_is_repeatable_and_knows_no_order_of_agents(decomposition: Decomposition) -> None:
    """The control of shuffled agents: parts are not made for an agent's number."""

    def shown(found: WholeTask) -> list[object]:
        return [
            (part.name, part.groups, part.reads, None if part.rows is None else part.rows.tolist())
            for part in decomposition.divide(found).parts
        ]

    known = whole_task()
    assert shown(known) == shown(whole_task())
    assert shown(known) == shown(replace(known, speeds=known.speeds[::-1]))


def test_classes_may_be_numbered_otherwise(decomposition: Decomposition) -> None:
    """Parts of renumbered classes hold the same classes, by their names."""
    known = whole_task()
    order = generator(3, "order").permutation(len(CLASSES))
    turned = replace(known, classes=tuple(CLASSES[i] for i in order))

    def named(found: WholeTask) -> set[frozenset[frozenset[str]]]:
        return {
            frozenset(frozenset(found.classes[c] for c in group) for group in part.groups)
            for part in decomposition.divide(found).parts
        }

    assert named(turned) == named(known)
