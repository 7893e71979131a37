from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.learning.streams import ByLabel, BySource, ByTime, Folder, StreamText
from protocols.errors import ConfigurationError, DataError

DATED = StreamText(
    ["2024-03-01:a", "2023-01-05:b", "2023-11-30:c", "2024-01-01:d"],
    ["one", "two", "three", "four"],
    ["x", "y", "x", "z"],
)


def lists(order: list[np.ndarray]) -> list[list[int]]:
    return [rows.tolist() for rows in order]


def test_by_label_brings_new_labels_in_every_episode() -> None:
    order = ByLabel(per_episode=2).order(DATED, seed=0)
    labels = np.array(DATED.labels)
    seen = [set(labels[rows]) for rows in order]
    assert [len(each) for each in seen] == [2, 1]
    assert not seen[0] & seen[1]
    orders = [str(lists(ByLabel(per_episode=1).order(DATED, seed))) for seed in range(9)]
    assert len(set(orders)) > 1


def test_by_label_begins_with_more_labels_if_asked() -> None:
    order = ByLabel(per_episode=1, first=2).order(DATED, seed=0)
    assert [len(set(np.array(DATED.labels)[rows])) for rows in order] == [2, 1]


def test_by_label_without_labels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="label of every document"):
        ByLabel().order(StreamText(["a"], ["one"], [None]), seed=0)


def test_by_time_follows_dates_in_ids() -> None:
    assert lists(ByTime(episodes=2, pattern=r"^(\d{4}-\d\d-\d\d)").order(DATED, 0)) == [
        [1, 2],
        [3, 0],
    ]
    assert lists(ByTime(episodes=2).order(DATED, 0)) == [[0, 1], [2, 3]]
    with pytest.raises(ConfigurationError, match="does not occur"):
        ByTime(episodes=2, pattern="(2025)").order(DATED, 0)


@pytest.mark.parametrize("pattern", ["(", "no group", "(a)(b)"])
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"group|regular"):
        ByTime(pattern=pattern)


def test_by_source_goes_from_file_to_file() -> None:
    text = StreamText(["b:1", "a:1", "b:2"], ["one", "two", "three"], [None] * 3)
    assert lists(BySource(shuffled=False).order(text, 0)) == [[0, 2], [1]]
    assert sorted(lists(BySource().order(text, 0))) == [[0, 2], [1]]


def test_gate_and_test_leave_something_to_train_on() -> None:
    with pytest.raises(ValidationError, match="nothing to train on"):
        ByLabel(gate=0.5, test=0.5)


def test_folder_tells_new_files_from_known_ones(tmp_path: Path) -> None:
    stream = Folder(path=str(tmp_path), glob="*.txt")
    assert stream.new_files({}) == {}
    (tmp_path / "one.txt").write_text("first")
    known = stream.new_files({})
    assert list(known) == ["one.txt"]
    (tmp_path / "two.txt").write_text("second")
    (tmp_path / "three.txt.part").write_text("not whole yet")
    assert list(stream.new_files(known)) == ["two.txt"]


def test_folder_refuses_known_files_that_changed(tmp_path: Path) -> None:
    stream = Folder(path=str(tmp_path), glob="*.txt")
    (tmp_path / "one.txt").write_text("first")
    known = stream.new_files({})
    (tmp_path / "one.txt").write_text("changed")
    with pytest.raises(DataError, match=r"one\.txt of an earlier episode"):
        stream.new_files(known)
    (tmp_path / "one.txt").unlink()
    with pytest.raises(DataError, match="no such file"):
        stream.new_files(known)


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Folder(path=str(tmp_path / "nowhere")).new_files({})


def test_folder_refuses_new_files_that_come_before_known_ones(tmp_path: Path) -> None:
    stream = Folder(path=str(tmp_path))
    (tmp_path / "b.txt").write_text("one")
    known = stream.new_files({})
    (tmp_path / "a.txt").write_text("two")
    assert stream.names() == {"a.txt", "b.txt"}
    with pytest.raises(DataError, match=r"a\.txt comes before"):
        stream.new_files(known)
