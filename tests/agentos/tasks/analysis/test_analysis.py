"""The analysis of a task whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agentos.tasks.analysis import analyse
from agentos.tasks.analysis.texts import text_figures
from agentos.tasks.splits import TaskSplits
from protocols.errors import ConfigurationError
from protocols.seeding import generator

TEXTS = 480


def task(complementary: bool) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """Texts of four classes, and two models that tell 0 from 1 and 2 from 3, or both the same."""
    codes = np.arange(TEXTS) % 4
    rng = generator(0, "task")
    words = rng.integers(5000, size=(TEXTS, 12))
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    first = np.stack([codes >= 2, codes == 1], axis=1)
    second = np.stack([codes >= 2, codes == 3], axis=1) if complementary else first
    rows = {
        name: 4.0 * sees + rng.normal(size=(TEXTS, 2))
        for name, sees in (("left", first), ("right", second))
    }
    return texts, [f"label {code}" for code in codes], rows


def test_models_that_know_different_things_have_headroom() -> None:
    texts, labels, rows = task(complementary=True)
    found = analyse(texts, labels, rows, ["a", "b"])
    assert not found.headroom.one_is_enough
    assert found.headroom.fused > found.headroom.single + 0.1
    assert "Cooperation helps" in found.verdict
    assert len(found.bits) == TEXTS
    json.dumps(found.as_json(), allow_nan=False)


def test_models_that_know_the_same_have_none() -> None:
    texts, labels, rows = task(complementary=False)
    copies = {"left": rows["left"], "copy": rows["left"]}
    found = analyse(texts, labels, copies, ["a", "a"])
    assert found.headroom.one_is_enough
    assert found.verdict.startswith("One agent is enough")


def test_figures_count_classes_words_repeats_and_contradictions() -> None:
    texts = [
        "one two three four five six",
        "seven eight nine",
        "One two three four five six",
        "ten",
    ]
    splits = TaskSplits(np.array([0]), np.array([1]), np.array([2, 3]))
    found = text_figures(texts, ["a", "a", "b", "a"], splits)
    assert found.classes == {"a": 3, "b": 1}
    assert found.words == (1, 3, 6, 6)
    assert (found.repeats, found.conflicts) == (2, 2)
    assert found.across == {"calibrate": 0, "test": 1}
    assert text_figures(texts).kind == "unlabelled"


def test_near_duplicates_answer_from_the_same_fold() -> None:
    """A model that knows texts by heart is right about a duplicate if the other one was fitted on."""
    words = generator(0, "words").integers(9000, size=(60, 10))
    once = [" ".join(f"w{word}" for word in row) for row in words]
    labels = [f"label {code}" for code in generator(1, "labels").integers(2, size=60)]
    by_heart = np.concatenate([np.eye(60), np.eye(60)])
    found = analyse(once + once, labels + labels, {"heart": by_heart}, ["a"])
    assert found.headroom.single < 0.7


def test_what_cannot_be_analysed_is_refused_with_a_hint() -> None:
    for call in (
        lambda: analyse(["a"], ["x"], {}, []),
        lambda: text_figures([]),
        lambda: text_figures(["a"], ["x", "y"]),
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert caught.value.hint
