"""Files of evaluation tasks: records with named columns, documents and sentence pairs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentos.data.sources import lines
from agentos.data.sources.record import did_you_mean
from agentos.evaluation.base import HeldOut
from protocols.errors import DataError

Record = tuple[str, dict[str, Any]]
"""Position of a record (file and line), and its values by column."""


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs with a number each."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    values: tuple[float, ...]


def records(path: str | Path, columns: Sequence[str]) -> Iterator[Record]:
    """Stream the records of a ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file.

    Args:
        path: relative to the working directory; ``~`` is expanded.
        columns: required in every record.

    Raises:
        DataError: the file is missing, of an unknown kind, empty or malformed, or a column is
            missing; the error names file and line.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise _missing(place)
    read = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}.get(place.suffix)
    if read is None:
        raise DataError(
            f"{place}: not a file format that evaluation tasks read",
            expected=".jsonl, .csv, .tsv or .parquet",
            actual=place.suffix or "no suffix",
            hint="convert it to JSON lines, one object per line",
        )
    found = False
    for where, record in read(place):
        found = True
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
        DataError: as in `records`; or some records have a label, and others have none.
    """
    texts, labels = [], []
    for where, record in records(path, ("text",)):
        texts.append(text_of(where, "text", record))
        labels.append(record.get("label"))
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


def _number(where: str, column: str, record: dict[str, Any]) -> float:
    try:
        number = float(record[column])
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(where, column, "a finite number", record[column])
    return number


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in lines.lines(path, "utf-8"):
        where = f"{path}, line {number}"
        if isinstance(line, DataError):
            raise _malformed(where, "UTF-8", line.actual)
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _malformed(where, "JSON", error) from error
        if not isinstance(record, dict):
            raise _malformed(where, "a JSON object", type(record).__name__)
        yield where, record


def _csv(path: Path, delimiter: str = ",") -> Iterator[Record]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            if delimiter == "\t":  # TSV has no quoting: a quote is a character like any other
                reader.reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row:
                    expected = f"{len(reader.fieldnames or ())} columns"
                    raise _malformed(where, expected, f"{len(row[None])} more")
                yield where, row
    except UnicodeDecodeError as error:
        raise _malformed(str(path), "UTF-8", error) from error
    except csv.Error as error:
        raise _malformed(f"{path}, line {reader.line_num}", "CSV", error) from error


def _tsv(path: Path) -> Iterator[Record]:
    return _csv(path, "\t")


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow.parquet  # not at the top: reading a configuration imports this module

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise _malformed(str(path), "Parquet", str(error).split("\n")[0]) from error
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, start=1))


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
    actual = "nothing" if value is None else f"{type(value).__name__} {value!r:.60}"
    return DataError(
        f"{where}: the column {column!r} cannot be used",
        expected=expected,
        actual=actual,
        hint="correct or remove the record",
    )


def _malformed(where: str, expected: str, actual: object) -> DataError:
    return DataError(
        f"{where}: not valid", expected=expected, actual=actual, hint="correct or remove the record"
    )
