"""Every collection reads queries, documents and judgements that fit each other, the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos.tasks.kinds.collections import COLLECTIONS, Collection
from protocols.errors import DataError

PAIRS = (
    ("how high is the tide", "the tide is two metres high today"),
    ("when does the tram leave", "the tram leaves the square at noon"),
    ("how high is the tide", "the water stands lower than at noon"),
    ("where is the old mill", "the mill stands behind the third field"),
)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def pairs(folder: Path) -> dict[str, Any]:
    write_lines(folder / "pairs.jsonl", [{"query": q, "document": d} for q, d in PAIRS])
    return {"path": str(folder / "pairs.jsonl")}


def beir(folder: Path) -> dict[str, Any]:
    queries = list(dict.fromkeys(query for query, _ in PAIRS))
    write_lines(
        folder / "queries.jsonl", [{"_id": f"q{i}", "text": q} for i, q in enumerate(queries)]
    )
    write_lines(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "text": d} for i, (_, d) in enumerate(PAIRS)]
    )
    (folder / "qrels").mkdir()
    rows = [f"q{queries.index(q)}\td{i}\t1" for i, (q, _) in enumerate(PAIRS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]))
    return {"path": str(folder)}


def first_lines(folder: Path) -> dict[str, Any]:
    write_lines(folder / "texts.jsonl", [{"text": f"{q}\n\n{d}"} for q, d in PAIRS])
    return {"source": {"kind": "jsonl", "path": str(folder / "texts.jsonl")}}


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "pairs": pairs,
    "beir": beir,
    "first_lines": first_lines,
}


def made(kind: str, folder: Path) -> Collection:
    return COLLECTIONS[kind].model_validate({"kind": kind, **MAKERS[kind](folder)})


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_judgements_name_documents_that_answer_their_query(kind: str, tmp_path: Path) -> None:
    collection = made(kind, tmp_path)
    judged = collection.read()
    assert len(set(judged.queries)) == len(judged.queries) == len(judged.relevant) == 3
    assert len(set(judged.corpus)) == len(judged.corpus)
    found = {
        (query, judged.corpus[document])
        for query, relevant in zip(judged.queries, judged.relevant, strict=True)
        for document in relevant
    }
    assert found <= set(PAIRS)
    assert all(judged.relevant)
    assert collection.read() == judged


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_collection_with_nothing_in_it_is_refused(kind: str, tmp_path: Path) -> None:
    collection = made(kind, tmp_path)
    for file in tmp_path.rglob("*.*"):
        if file.is_file():
            file.write_text("")
    with pytest.raises(DataError):
        collection.read()
