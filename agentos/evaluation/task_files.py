"""Files of evaluation tasks: records with named columns, documents and sentence pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentos.data.sources import lines
from agentos.data.sources.csv_rows import csv_rows
from agentos.data.sources.opening import COMPRESSIONS, ending
from agentos.data.sources.parquet_rows import parquet_rows
from agentos.data.sources.record import NAME, did_you_mean, name_of, parse_object
from agentos.evaluation.base import HeldOut
from protocols.errors import DataError

Record = tuple[str, dict[str, Any]]
"""Position of a record (file and line), and its values by column."""

Row = tuple[str, "dict[str, Any] | dict[str, str] | DataError"]


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs with a number each."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    values: tuple[float, ...]


def records(
    path: str | Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[Record]:
    """Stream the records of a ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file, also compressed.

    The rules and bounds are those of the sources of the same kinds; see `agentos.data.sources`.

    Args:
        path: relative to the working directory; ``~`` is expanded.
        columns: required in every record.
        optional: read where the file has them.

    Raises:
        DataError: the file is missing, of an unknown kind, empty or malformed, or a column is
            missing; the error names file and line.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise _missing(place)
    read = _FORMATS.get(ending(place))
    if read is None:
        raise DataError(
            f"{place}: not a file format that evaluation tasks read",
            expected=f"{', '.join(FORMATS)}, also followed by {', '.join(COMPRESSIONS)}",
            actual=place.suffix or "no suffix",
            hint="convert it to JSON lines, one object per line",
        )
    found = False
    for where, record in read(place, columns, optional):
        found = True
        if isinstance(record, DataError):
            record.hint = "correct or remove the record"
            raise record
        for column in columns:
            if record.get(column) is None:
                raise _lacks(where, column, record)
        yield where, record
    if not found:
        raise DataError(
            f"{place}, line 1: the file is empty",
            expected="at least one record",
            hint="write records into it, or name another file",
        )


def read_documents(path: str | Path) -> HeldOut:
    """Read documents: a column ``text``, and ``label`` if every record has one.

    Raises:
        DataError: as in `records`; a label is neither a string nor a whole number; or some records have
            a label, and others have none.
    """
    texts, labels = list[str](), list[str | None]()
    for where, record in records(path, ("text",), ("label",)):
        texts.append(text_of(where, "text", record))
        label = record.get("label")
        labels.append(None if label is None else name_in(where, "label", record))
    missing = [i for i, label in enumerate(labels) if label is None]
    if missing and len(missing) < len(labels):
        raise DataError(
            f"{path}: some records have a label, and some have none",
            expected="a label for every record, or for none",
            actual=f"{len(missing)} of {len(labels)} without, record {missing[0] + 1} the first",
            hint="label them all, or remove the column",
        )
    return HeldOut(tuple(texts), None if missing else tuple(map(str, labels)))


def read_pairs(path: str, first: str, second: str, value: str) -> Pairs:
    """Read sentence pairs with a finite number each.

    Args:
        path: file to read; see `records`.
        first, second, value: names of the columns.

    Raises:
        DataError: as in `records`; or a sentence is not text, or a value not a finite number.
    """
    rows = [
        (text_of(where, first, row), text_of(where, second, row), _number(where, value, row))
        for where, row in records(path, (first, second, value))
    ]
    left, right, numbers = zip(*rows, strict=True)
    return Pairs(left, right, numbers)


def text_of(where: str, column: str, record: dict[str, Any]) -> str:
    """Return the text in a column of a record.

    Raises:
        DataError: the value is not text.
    """
    value = record[column]
    if not isinstance(value, str):
        raise _wrong(where, column, "a string", value)
    return value


def name_in(where: str, column: str, record: dict[str, Any]) -> str:
    """Return the label or id in a column of a record, as text.

    Raises:
        DataError: the value is neither a string that is not blank nor a whole number.
    """
    name = name_of(record[column])
    if name is None:
        raise _wrong(where, column, NAME, record[column])
    return name


def _number(where: str, column: str, record: dict[str, Any]) -> float:
    try:
        number = float(record[column])
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(where, column, "a finite number", record[column])
    return number


def _jsonl(path: Path, _: Sequence[str], __: Sequence[str]) -> Iterator[Row]:
    for number, line in lines.lines(path, "utf-8"):
        where = f"{path}, line {number}"
        if isinstance(line, DataError):
            yield where, line
        elif line.strip():
            yield where, parse_object(line, where)


def _csv(path: Path, columns: Sequence[str], _: Sequence[str]) -> Iterator[Row]:
    for number, row in csv_rows(path, columns):
        yield f"{path}, line {number}", row


def _parquet(path: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    for number, row in parquet_rows(path, columns, optional):
        yield f"{path}, row {number}", row


_FORMATS = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
FORMATS = tuple(_FORMATS)
"""Endings of the files that are read; one of a compression may follow."""


def _missing(place: Path) -> DataError:
    siblings = [item.name for item in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = did_you_mean(place.name, siblings)
    return DataError(
        f"there is no file {place}",
        expected="a file, relative to where agentos is started",
        actual="no such file",
        hint=hint or "correct the path of the evaluation task",
    )


def _lacks(where: str, column: str, record: dict[str, Any]) -> DataError:
    if column in record:
        return _wrong(where, column, "a value", None)
    hint = did_you_mean(column, record)
    return DataError(
        f"{where}: there is no column {column!r}",
        expected=column,
        actual=", ".join(map(str, record)) or "no columns",
        hint=hint or "rename the column, or name it in the parameters of the evaluation task",
    )


def _wrong(where: str, column: str, expected: str, value: object) -> DataError:
    blank = value is None or (isinstance(value, str) and not value.strip())
    actual = "nothing" if blank else f"{type(value).__name__} {value!r:.60}"
    return DataError(
        f"{where}: the column {column!r} cannot be used",
        expected=expected,
        actual=actual,
        hint="correct or remove the record",
    )
