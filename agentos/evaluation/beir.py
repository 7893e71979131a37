"""Retrieval collections in BEIR's layout: corpus, queries and relevance judgements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentos.data.sources import lines
from agentos.data.sources.opening import ending
from agentos.data.sources.record import did_you_mean
from agentos.evaluation.task_files import name_in, records, text_of
from protocols.errors import DataError


@dataclass(frozen=True)
class Judged:
    """Queries, a corpus, and the relevant documents of each query.

    Attributes:
        queries: `[Q]`, only those with a relevant document.
        corpus: `[C]`.
        relevant: for each query, the rows of its relevant documents, and their grades.
    """

    queries: tuple[str, ...]
    corpus: tuple[str, ...]
    relevant: tuple[dict[int, int], ...]


def read_folder(path: str, qrels: str) -> Judged:
    """Read a folder in BEIR's layout.

    Args:
        path: holds ``corpus.jsonl`` (``_id``, ``text``, perhaps ``title``) and ``queries.jsonl``.
        qrels: file of the judgements in the folder: a ``.tsv`` with the columns ``query-id``,
            ``corpus-id`` and ``score``; any other file is in TREC's format, ``query 0 document grade``.

    Raises:
        DataError: a file is missing, empty or malformed, or the judgements name unknown documents.
    """
    folder = Path(path).expanduser()
    corpus = _texts(folder / "corpus.jsonl")
    queries = _texts(folder / "queries.jsonl")
    rows = {name: row for row, name in enumerate(corpus)}
    relevant: dict[str, dict[int, int]] = {}
    grades: dict[tuple[str, str], int] = {}
    file = folder / qrels
    for where, query, document, grade in _judgements(file):
        _require(where, "query", query, queries)
        _require(where, "document", document, corpus)
        if grades.setdefault((query, document), grade) != grade:
            raise DataError(
                f"{where}: another judgement of query {query!r} and document {document!r}",
                expected=f"{grades[query, document]}, as before",
                actual=grade,
                hint="remove one of the two lines",
            )
        if grade > 0:
            relevant.setdefault(query, {})[rows[document]] = grade
    if not relevant:
        raise DataError(
            f"{file}: no query has a relevant document",
            expected="at least one grade above 0",
            hint="name another file in the task's qrels",
        )
    used = tuple(queries[query] for query in relevant)
    return Judged(used, tuple(corpus.values()), tuple(relevant.values()))


def _texts(path: Path) -> dict[str, str]:
    """Return id -> text, led by the title."""
    found: dict[str, str] = {}
    for where, record in records(path, ("_id", "text"), ("title",)):
        name, title = name_in(where, "_id", record), record.get("title") or ""
        if name in found:
            raise DataError(
                f"{where}: the _id {name!r} is there twice",
                expected="each _id once",
                actual=name,
                hint="rename or remove one of the two records",
            )
        found[name] = f"{title} {text_of(where, 'text', record)}".strip()
    return found


def _judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    if ending(path) == ".tsv" or not path.exists():  # `records` raises the error for a missing file
        for where, row in records(path, ("query-id", "corpus-id", "score")):
            yield where, row["query-id"], row["corpus-id"], _grade(where, row["score"])
        return
    for number, line in lines.lines(path, "utf-8"):
        if isinstance(line, DataError):
            raise line
        where, fields = f"{path}, line {number}", line.split()
        if fields and len(fields) != 4:
            raise DataError(
                f"{where}: not a judgement",
                expected="query 0 document grade",
                actual=line[:60],
                hint="correct the line, or use a .tsv with query-id, corpus-id and score",
            )
        if fields:
            yield where, fields[0], fields[2], _grade(where, fields[3])


def _grade(where: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"{where}: the grade is not a whole number",
            expected="0, 1, 2, ...",
            actual=text,
            hint="correct the line",
        ) from error


def _require(where: str, what: str, name: str, known: dict[str, str]) -> None:
    if name not in known:
        raise DataError(
            f"{where}: there is no {what} {name!r}",
            expected=f"an _id of {'corpus' if what == 'document' else 'queries'}.jsonl",
            actual=name,
            hint=did_you_mean(name, known) or "remove the line, or correct its id",
        )
