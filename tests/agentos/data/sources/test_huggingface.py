from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentos.data.sources import HuggingFace
from protocols.errors import DataError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_local_builder_reads_csv_and_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("body,topic\nsome words,3\nmore words,4\n")
    source = HuggingFace(path="csv", data_files=(str(path),), text="body", label="topic")
    assert [(d.text, d.label) for d in source.documents()] == [
        ("some words", "3"),
        ("more words", "4"),
    ]


def test_class_labels_come_by_their_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    rows = {"text": ["bad", "good"], "label": [0, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    source = HuggingFace(path="parquet", data_files=str(tmp_path / "a.parquet"), label="label")
    assert [d.label for d in source.documents()] == ["neg", "pos"]


def test_folder_is_loaded_by_the_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps({"text": "some words"}) + "\n")
    source = HuggingFace(path=str(folder))
    assert [d.text for d in source.documents()] == ["some words"]
    before = source.fingerprint()
    (folder / "train.jsonl").write_text(json.dumps({"text": "other words"}) + "\n")
    assert source.fingerprint() != before


def test_column_that_is_not_there_names_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"content": "words"}) + "\n")
    source = HuggingFace(path="json", data_files=str(path), text="contents")
    with pytest.raises(DataError, match="record 1 has no column 'contents'") as caught:
        list(source.documents())
    assert (caught.value.actual, caught.value.hint) == ("content", "did you mean 'content'?")


def test_missing_data_file_is_refused(tmp_path: Path) -> None:
    source = HuggingFace(path="json", data_files=str(tmp_path / "nothing.jsonl"))
    with pytest.raises(DataError, match="the dataset 'json' cannot be read") as caught:
        list(source.documents())
    assert "nothing.jsonl" in str(caught.value.actual)


def test_unreachable_hub_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Couldn't reach 'someone/something' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match="'someone/something' cannot be read") as caught:
        list(HuggingFace(path="someone/something").documents())
    assert "ConnectionError" in str(caught.value.actual)
    assert "network" in str(caught.value.hint)


def test_fingerprint_needs_no_network_and_changes_with_the_revision() -> None:
    sources = [HuggingFace(path="someone/something", revision=r) for r in (None, "v1", "v2")]
    assert len({source.fingerprint() for source in sources}) == 3
