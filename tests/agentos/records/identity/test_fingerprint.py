"""Digests of what a run reads: which changes they tell, and how they are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.records.identity.digests import _paths, digest_of, of_encoders, of_text
from agentos.records.identity.fingerprint import (
    Fingerprint,
    read_fingerprints,
    write_fingerprints,
)
from agents.config import EncoderConfig
from protocols.errors import DataError, RecordError


class Texts:
    """A corpus in memory."""

    def __init__(self, **changes: Any) -> None:
        self.documents = ["a b", "c", "d", "e", "f"]
        self.codes: list[str | None] = ["x", "y", None, "x", "y"]
        self.train, self.anchors, self.heldout = (np.array(rows) for rows in ([0, 1], [2], [3, 4]))
        self.shards: Any = (np.array([0]), np.array([1]))
        self.__dict__.update(changes)

    def texts(self, rows: Any) -> list[str]:
        return [self.documents[row] for row in rows]

    def labels(self, rows: Any) -> list[str | None]:
        return [self.codes[row] for row in rows]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, []),
        ({"documents": ["a b", "c", "d", "e", "F"]}, ["the held-out documents"]),
        ({"documents": ["a ", "bc", "d", "e", "f"]}, ["the training documents"]),
        ({"codes": ["x", "y", "", "x", "y"]}, ["the anchors"]),
        ({"codes": ["x", "x", None, "x", "y"]}, ["the training documents"]),
        ({"train": np.array([0, 3]), "heldout": np.array([1, 4])},
         ["the held-out documents", "the training documents"]),
        ({"shards": (np.array([0, 1]), np.array([], dtype=np.int64))},
         ["the division of the documents among the agents"]),
    ],
)  # fmt: skip
def test_every_change_of_the_text_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    before, after = of_text(Texts()), of_text(Texts(**changes))  # type: ignore[arg-type]
    assert before.differences(after) == parts
    if parts:
        with pytest.raises(DataError, match="no longer what it read") as caught:
            after.require([before], Path("run"))
        assert all(part in str(caught.value.actual) for part in parts)
        assert "--changed-data-ok" in str(caught.value.hint)


def test_folder_of_a_model_is_known_by_the_files_that_matter(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    for name in ("model.safetensors", "1_Pooling/config.json", "README.md", ".cache.json"):
        (tmp_path / name).write_bytes(b"0")
    endings = frozenset({".safetensors", ".json"})
    before = digest_of(tmp_path, endings)
    for name in ("README.md", ".cache.json"):
        (tmp_path / name).write_bytes(b"1")
        assert digest_of(tmp_path, endings) == before
    for name in ("model.safetensors", "1_Pooling/config.json"):
        (tmp_path / name).write_bytes(b"1")  # of the same size
        assert digest_of(tmp_path, endings) != before
        (tmp_path / name).write_bytes(b"0")
    (tmp_path / "model.safetensors").rename(tmp_path / "other.safetensors")
    assert digest_of(tmp_path, endings) != before


def test_files_are_found_in_every_section_by_the_name_of_their_field() -> None:
    section = {
        "tasks": [{"kind": "sts", "path": "pairs.csv"}, {"kind": "geometry"}],
        "clock": {"work": {"path": "trace.csv"}},
        "name": "path",
    }
    assert list(_paths(section)) == ["pairs.csv", "trace.csv"]


def test_only_what_both_hold_is_compared() -> None:
    one = Fingerprint(train="1", tokenizers={"a": "1", "b": "2"})
    two = Fingerprint(heldout="3", tokenizers={"b": "3", "c": "4"})
    assert one.differences(two) == ["the tokenizer b"]
    assert one.without(["tokenizers"]).differences(two) == []


def test_every_fingerprint_of_a_run_counts(tmp_path: Path) -> None:
    both = (Fingerprint(heldout="1"), Fingerprint(heldout="2"))
    write_fingerprints(tmp_path, both)
    assert read_fingerprints(tmp_path) == both
    with pytest.raises(DataError):
        both[1].require(both, tmp_path)
    both[1].require(both[1:], tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '[{"train": 1}]', "[1]", "[" * 100_000])
def test_damaged_fingerprints_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "fingerprint.json").write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=r"fingerprint\.json is damaged"):
        read_fingerprints(tmp_path)


def test_what_is_no_run_has_no_fingerprints(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: x", encoding="utf-8")
    assert read_fingerprints(tmp_path) == read_fingerprints(tmp_path / "run.yaml") == ()


def test_adapters_are_known_by_the_model_that_they_adapt_too(tmp_path: Path) -> None:
    base, own = tmp_path / "base", tmp_path / "own"
    for folder in (base, own):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"0")
    named = {"base_model_name_or_path": str(base)}
    (own / "adapter_config.json").write_text(json.dumps(named), encoding="utf-8")
    encoders = [EncoderConfig(path=str(own)), EncoderConfig(preset="nano")]
    before = of_encoders(encoders)
    assert before.encoders.keys() == {str(base), str(own)}
    (base / "model.safetensors").write_bytes(b"1")
    assert before.differences(of_encoders(encoders)) == [f"the encoder {base}"]
