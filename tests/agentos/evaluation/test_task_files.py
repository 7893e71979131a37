from __future__ import annotations

import bz2
import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentos.data.sources import Csv, Jsonl, Parquet, Source
from agentos.evaluation.beir import read_folder
from agentos.evaluation.task_files import read_documents, records
from protocols.errors import DataError


def jsonl(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_source(path: Path) -> Source:
    kind = {".jsonl": Jsonl, ".csv": Csv, ".tsv": Csv, ".parquet": Parquet}[path.suffix]
    return kind(path=str(path), label="label")  # type: ignore[no-any-return]


BAD = {
    "empty.csv": b"text,label\nsome words,\nother words,y\n",
    "blank.tsv": b"text\tlabel\nsome words\t \n",
    "twice.csv": b"text,label,label\nsome words,x,y\n",
    "short.csv": b"text,label\nsome words\n",
    "list.jsonl": b'{"text": "some words", "label": ["x"]}\n',
    "nan.jsonl": b'{"text": "some words", "label": NaN}\n',
    "float.jsonl": b'{"text": "some words", "label": 1.5}\n',
    "again.jsonl": b'{"text": "some words", "label": "x", "label": "y"}\n',
    "number.jsonl": b'{"text": 3, "label": "x"}\n',
    "latin.csv": b"text,label\ncaf\xe9 au lait,x\n",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_as_a_source_is_refused_in_an_evaluation(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    for read in (lambda: read_documents(path), lambda: list(as_source(path).documents())):
        with pytest.raises(DataError) as caught:
            read()
        assert f"{path}, line" in caught.value.message


@pytest.mark.parametrize("labels", [[float("nan"), 1.0], [[1], [2]]])
def test_parquet_labels_that_are_no_names_are_refused_by_both(
    tmp_path: Path, labels: list[object]
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["some words", "other words"], "label": labels}), path)
    for read in (lambda: read_documents(path), lambda: list(as_source(path).documents())):
        with pytest.raises(DataError, match="cannot be used"):
            read()


def test_compressed_and_upper_case_files_are_read(tmp_path: Path) -> None:
    content = jsonl(tmp_path / "A.JSONL", {"text": "some words", "label": 1}).read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content))
    (tmp_path / "c.jsonl.BZ2").write_bytes(bz2.compress(content))
    for name in ("A.JSONL", "b.jsonl.gz", "c.jsonl.BZ2"):
        assert read_documents(tmp_path / name).labels == ("1",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        list(records(tmp_path / "a.jsonl", ("text",)))


# --- retrieval collections ---


def collection(folder: Path, judgements: str, name: str = "q.tsv") -> str:
    jsonl(folder / "corpus.jsonl", {"_id": "a", "text": "first"}, {"_id": "b", "text": "second"})
    jsonl(folder / "queries.jsonl", {"_id": "q", "text": "query"})
    (folder / name).write_text(judgements)
    return str(folder)


@pytest.mark.parametrize("name", ["corpus", "queries"])
def test_id_twice_is_refused_with_the_line_of_the_second(tmp_path: Path, name: str) -> None:
    folder = collection(tmp_path, "query-id\tcorpus-id\tscore\nq\ta\t1\n")
    jsonl(tmp_path / f"{name}.jsonl", *({"_id": i, "text": "x"} for i in ("q", "a", "q")))
    with pytest.raises(DataError, match=rf"{name}.jsonl, line 3: the _id 'q' is there twice"):
        read_folder(folder, "q.tsv")


@pytest.mark.parametrize("grades", [(1, 0), (0, 1), (1, 2)])
@pytest.mark.parametrize("trec", [False, True])
def test_judgements_that_contradict_each_other_are_refused(
    tmp_path: Path, grades: tuple[int, int], trec: bool
) -> None:
    if trec:
        folder = collection(tmp_path, "".join(f"q 0 a {g}\n" for g in grades), "q.txt")
    else:
        rows = "".join(f"q\ta\t{g}\n" for g in grades)
        folder = collection(tmp_path, f"query-id\tcorpus-id\tscore\n{rows}")
    with pytest.raises(DataError, match=rf"line {2 if trec else 3}: another judgement"):
        read_folder(folder, "q.txt" if trec else "q.tsv")


def test_judgement_that_is_repeated_unchanged_is_read(tmp_path: Path) -> None:
    folder = collection(tmp_path, "query-id\tcorpus-id\tscore\nq\ta\t1\nq\ta\t1\n")
    assert read_folder(folder, "q.tsv").relevant == ({0: 1},)


def test_judgements_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    folder = collection(tmp_path, "", "q.txt")
    (tmp_path / "q.txt").write_bytes(b"q 0 caf\xe9 1\n")
    with pytest.raises(DataError, match="line 1: not UTF-8"):
        read_folder(folder, "q.txt")
