"""A life that follows a folder: new files are new episodes, and lead where all at once would have led."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos.learning.config import LifeConfig
from agentos.learning.life import Life, LifeListener, matrix
from agentos.learning.outcome.recorded_matrix import matrix_of
from protocols.errors import ConfigurationError, DataError, RecordError


class Feeds(LifeListener):
    """Brings the next file whenever the life waits for one, and ends it when there is none."""

    def __init__(self, *files: Callable[[], object]) -> None:
        self.left = list(files)

    def on_stage(self, what: str) -> None:
        if what.startswith("Waiting"):
            if not self.left:
                raise KeyboardInterrupt
            self.left.pop(0)()


@pytest.fixture
def documents(corpus_file: Path) -> list[list[str]]:
    """The lines of three files: documents of every label in each."""
    lines = corpus_file.read_text(encoding="utf-8").splitlines()
    return [lines[start::3] for start in range(3)]


@pytest.fixture
def folder_life(life_of, tmp_path: Path) -> Callable[..., LifeConfig]:
    def make(folder: str = "text", **changes: Any) -> LifeConfig:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        stream = {"kind": "folder", "path": str(path), "glob": "*.jsonl", "labelled": 0.4}
        fields = {
            "data.source.path": str(path / "*.jsonl"),
            "data.near_duplicates": None,
            "evaluation.tasks": ["geometry"],
        }
        return life_of(fields, stream=stream, gate=None, **changes)

    return make


def write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_files_one_after_another_lead_where_all_at_once_lead(
    folder_life, documents, tmp_path: Path, cache: Path
) -> None:
    feeds = [
        lambda number=number: write(tmp_path / "text", f"{number}.jsonl", documents[number])
        for number in range(3)
    ]
    for listener in (Feeds(*feeds[:2]), Feeds(feeds[2])):  # interrupted, and taken up again
        with pytest.raises(KeyboardInterrupt):
            Life(folder_life(), tmp_path / "followed", listener, cache=cache).follow(poll_s=0.01)
    followed = Life(folder_life(), tmp_path / "followed", cache=cache).run()
    at_once = Life(folder_life(), tmp_path / "at_once", cache=cache).run()
    assert [len(each.accuracies) for each in followed.episodes] == [1, 2, 3]
    assert followed.episodes[-1].digests == at_once.episodes[-1].digests
    assert followed.episodes[-1].accuracies == at_once.episodes[-1].accuracies
    assert matrix(followed).final_accuracy == matrix(at_once).final_accuracy
    assert matrix(followed).backward_transfer == matrix(at_once).backward_transfer
    assert "forward transfer" not in (tmp_path / "followed" / "report.md").read_text("utf-8")
    assert matrix_of(at_once).forward_transfer == matrix(at_once).forward_transfer


def test_changed_file_is_refused(folder_life, documents, tmp_path: Path, cache: Path) -> None:
    config = folder_life()
    write(tmp_path / "text", "0.jsonl", documents[0])
    Life(config, tmp_path / "life", cache=cache).run()
    write(tmp_path / "text", "0.jsonl", documents[1])
    with pytest.raises(DataError, match="is not what it was"):
        Life(config, tmp_path / "life", cache=cache).run()


def test_new_labels_need_room(folder_life, documents, tmp_path: Path, cache: Path) -> None:
    known = [line for line in documents[0] if json.loads(line)["label"] != _last(documents)]
    for labels, folder in ((None, "narrow"), (_count(documents), "wide")):
        config = folder_life(folder, labels=labels)
        write(tmp_path / folder, "0.jsonl", known)
        Life(config, tmp_path / f"{folder}-life", cache=cache).run()
        write(tmp_path / folder, "1.jsonl", documents[1])
        if labels is None:
            with pytest.raises(RecordError, match="differs in labels"):
                Life(config, tmp_path / f"{folder}-life", cache=cache).run()
        else:
            record = Life(config, tmp_path / f"{folder}-life", cache=cache).run()
            assert len(record.episodes) == 2


def _last(documents: list[list[str]]) -> str:
    return max(json.loads(line)["label"] for line in documents[0])


def _count(documents: list[list[str]]) -> int:
    return len({json.loads(line)["label"] for part in documents for line in part})


def test_only_folders_are_followed(life_of, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only a folder"):
        Life(life_of(), tmp_path / "life").follow()
