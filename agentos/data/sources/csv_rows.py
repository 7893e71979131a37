"""Rows of CSV and TSV files, as every reader of them takes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentos.data.sources import lines
from agentos.data.sources.opening import DAMAGED, ending, open_bytes
from agentos.data.sources.record import (
    MAX_RECORD_BYTES,
    BadRecord,
    column_twice,
    repeated,
    unknown_column,
)
from protocols.errors import DataError

Row = tuple[int, "dict[str, str] | DataError"]
"""The line at which a row begins, and its values by column."""


def separator(path: Path) -> str:
    """Return what separates the columns of a file: a tab where its name ends in .tsv, else a comma."""
    return "\t" if ending(path) == ".tsv" else ","


def csv_rows(
    path: Path, columns: Sequence[str], delimiter: str | None = None, encoding: str = "utf-8"
) -> Iterator[Row]:
    """Stream the rows of a file with a header line, with an error in place of each unusable one.

    Where tabs separate the columns a quote is a character like any other; elsewhere a field in quotes may
    hold delimiters, quotes and line breaks. A row has at most `MAX_RECORD_BYTES`.

    Args:
        path: of the file.
        columns: that the header must hold; only their bytes must be text.
        delimiter: between columns; as `separator` says if None.
        encoding: of the file.

    Raises:
        DataError: the header lacks a column or names one twice; the quoting is broken, or a row too large,
            so that no later row is reliable.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    delimiter = delimiter or separator(path)
    # Undecodable bytes pass as lone surrogates, so that the error can name their row.
    with io.TextIOWrapper(
        open_bytes(path),
        "utf-8-sig" if encoding == "utf-8" else encoding,
        errors="surrogateescape",
        newline="",
    ) as stream:
        source = _Lines(path, stream)
        reader = csv.reader(source, delimiter=delimiter, strict=True)
        if delimiter == "\t":
            reader = csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        try:
            yield from _rows(source, reader, columns, delimiter, encoding)
        except DAMAGED as error:
            yield reader.line_num, lines.truncated(f"{path}, line {reader.line_num + 1}", error)


class _Lines:
    """Lines of a stream, up to a bound on those of one row."""

    def __init__(self, path: Path, stream: io.TextIOWrapper) -> None:
        self.path = path
        self._stream = stream
        self._row = 0

    def begin_row(self) -> None:
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(MAX_RECORD_BYTES + 1):
            self._row += len(line)
            if self._row > MAX_RECORD_BYTES:
                raise csv.Error(f"a row of more than {MAX_RECORD_BYTES:,} characters")
            yield line


def _rows(
    source: _Lines, reader: Any, columns: Sequence[str], delimiter: str, encoding: str
) -> Iterator[Row]:
    header = _next_row(source, reader)
    if header is None:
        return
    where = f"{source.path}, line 1"
    bad = _undecodable(where, "".join(header), encoding)
    if bad is not None:
        raise bad
    twice = repeated(header)
    if twice is not None:
        raise column_twice(where, twice)
    for column in columns:
        if column not in header:
            raise _no_column(where, column, header, delimiter)
    start = reader.line_num + 1
    while (row := _next_row(source, reader)) is not None:
        if row:
            yield start, _record(f"{source.path}, line {start}", header, row, columns, encoding)
        start = reader.line_num + 1


def _no_column(where: str, column: str, header: list[str], delimiter: str) -> DataError:
    error = unknown_column(where, column, header)
    others = [mark for mark in ";\t|," if header and mark in header[0] and mark != delimiter]
    if len(header) == 1 and others:
        error.hint = f"the columns seem to be separated by {others[0]!r}: set data.source.delimiter"
    return error


def _record(
    where: str, header: list[str], row: list[str], columns: Sequence[str], encoding: str
) -> dict[str, str] | DataError:
    if len(row) != len(header):
        return BadRecord(
            f"{where}: wrong number of columns",
            reason="columns",
            expected=f"{len(header)} columns",
            actual=f"{len(row)} columns",
        )
    record = dict(zip(header, row, strict=True))
    for column in columns:
        bad = _undecodable(where, record[column], encoding)
        if bad is not None:
            return bad
    return record


def _undecodable(where: str, text: str, encoding: str) -> DataError | None:
    try:
        text.encode(encoding, "surrogateescape").decode(encoding)
    except UnicodeDecodeError as error:
        return lines.undecodable(where, encoding, error)
    return None


def _next_row(source: _Lines, reader: Any) -> list[str] | None:
    """Return the next row, or None at the end.

    Raises:
        DataError: the quoting is broken, or the row too large.
    """
    source.begin_row()
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{source.path}, line {reader.line_num}: not valid CSV",
            actual=str(error),
            hint="repair the quoting of the file, or name its delimiter",
        ) from error
    return row
