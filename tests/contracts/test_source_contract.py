"""Every source streams, with stable unique ids, in the same order every time."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentos.data.config import DataConfig
from agentos.data.sources import SOURCES, Document, Source

ROWS = [
    {"text": f"Document number {i} speaks of things.\nAnd more.", "label": f"label-{i % 3}"}
    for i in range(12)
]
Made = tuple[Source, Path]


def write_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def make_docstrings(folder: Path) -> Made:
    package = folder / "contract_library"
    package.mkdir()
    (package / "__init__.py").write_text('"""A library made for a test."""\n')
    module = package / "module.py"
    functions = [f"def f{i}():\n    '''{row['text']}'''\n" for i, row in enumerate(ROWS)]
    module.write_text("\n".join(functions))
    source = SOURCES["docstrings"].model_validate(
        {"packages": ["contract_library"], "minimum_words": 3}
    )
    return source, module


def make_text(folder: Path) -> Made:
    for i, row in enumerate(ROWS):
        path = folder / row["label"] / f"{i:02d}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(row["text"], encoding="utf-8")
    return SOURCES["text"].model_validate({"path": str(folder), "label_from_folder": True}), path


def make_jsonl(folder: Path) -> Made:
    path = write_jsonl(folder / "rows.jsonl")
    return SOURCES["jsonl"].model_validate({"path": str(path), "label": "label"}), path


def make_csv(folder: Path) -> Made:
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["label", "text"])
        writer.writeheader()
        writer.writerows(ROWS)
    return SOURCES["csv"].model_validate({"path": str(path), "label": "label"}), path


def make_parquet(folder: Path) -> Made:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=5)
    return SOURCES["parquet"].model_validate({"path": str(path), "label": "label"}), path


def make_hf(folder: Path) -> Made:
    path = write_jsonl(folder / "rows.jsonl")
    settings = {"path": "json", "data_files": str(path), "label": "label"}
    return SOURCES["hf"].model_validate(settings), path


MAKERS: dict[str, Callable[[Path], Made]] = {
    "docstrings": make_docstrings,
    "text": make_text,
    "jsonl": make_jsonl,
    "csv": make_csv,
    "parquet": make_parquet,
    "hf": make_hf,
}


@pytest.fixture(params=SOURCES)
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return MAKERS[request.param](tmp_path)


def test_documents_come_as_an_iterator(made: Made) -> None:
    stream = made[0].documents()
    assert isinstance(stream, Iterator)
    assert iter(stream) is stream
    assert isinstance(next(stream), Document)


def test_every_text_and_label_comes_whole(made: Made) -> None:
    documents = list(made[0].documents())
    expected = {row["text"] for row in ROWS}
    assert expected <= {document.text for document in documents}
    labels = {document.text: document.label for document in documents}
    if made[0].kind == "docstrings":
        assert set(labels.values()) == {"contract_library"}
    else:
        assert labels == {row["text"]: row["label"] for row in ROWS}


def test_ids_are_unique(made: Made) -> None:
    ids = [document.id for document in made[0].documents()]
    assert len(ids) >= len(ROWS)
    assert len(set(ids)) == len(ids)


def test_the_same_documents_come_in_the_same_order_twice(made: Made) -> None:
    assert list(made[0].documents()) == list(made[0].documents())


def test_records_of_good_input_are_the_documents(made: Made) -> None:
    assert list(made[0].records()) == list(made[0].documents())


def test_fingerprint_is_stable_while_nothing_changes(made: Made) -> None:
    assert made[0].fingerprint() == made[0].fingerprint()


def test_fingerprint_follows_the_content_and_not_the_time_of_a_file(made: Made) -> None:
    source, path = made
    before, stat = source.fingerprint(), path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert source.fingerprint() == before
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert source.fingerprint() != before


def test_fingerprint_changes_with_a_parameter(made: Made) -> None:
    source = made[0]
    change = {"minimum_words": 4} if source.kind == "docstrings" else {"path": source.path + "/."}  # type: ignore[attr-defined]
    if source.kind == "hf":
        change = {"revision": "another"}
    assert source.fingerprint() != source.model_copy(update=change).fingerprint()


def test_source_survives_its_configuration(made: Made) -> None:
    written = DataConfig(source=made[0]).model_dump_json()
    assert DataConfig.model_validate_json(written).source == made[0]
