"""The end of a growing file: every line once, and from the beginning when the file begins again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentos.records.views import tail as module
from agentos.records.views.tail import Tail


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.lines() == []
    append(path, "one\ntw")
    assert tail.lines() == ["one"]
    assert tail.lines() == []
    append(path, "o\nthree\n")
    assert tail.lines() == ["two", "three"]
    assert tail.beginnings == 1


def test_long_file_comes_in_chunks_and_each_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)
    path = tmp_path / "log"
    lines = [f"line {number}" for number in range(100)]
    append(path, "\n".join(lines) + "\n")
    tail, found = Tail(path), []
    while more := tail.lines():
        assert sum(len(line) + 1 for line in more) <= 64
        found += more
    assert found == lines


def test_line_without_an_end_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)
    path = tmp_path / "log"
    append(path, "x" * 150 + "\nend\n")
    tail = Tail(path)
    assert tail.lines() == tail.lines() == []
    assert tail.lines()[-1] == "end"


def test_only_the_end_of_a_long_file_is_read_where_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, "one\ntwo\nthree\n")
    assert Tail(path, last_bytes=8).lines() == ["three"]
    assert Tail(path, last_bytes=80).lines() == ["one", "two", "three"]


def test_file_that_was_cut_or_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, "one\ntwo\n")
    tail = Tail(path)
    tail.lines()
    path.write_text("one\n")
    assert (tail.lines(), tail.beginnings) == (["one"], 2)
    other = tmp_path / "draft"
    other.write_text("one\nfour\n")
    other.replace(path)
    assert (tail.lines(), tail.beginnings) == (["one", "four"], 3)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    assert Tail(tmp_path / "log").lines() == []
