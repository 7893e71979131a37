"""Text files of records with named columns: JSON lines and CSV.

Every error names file and line, and one bad record can be skipped. Readers that parse a file by blocks,
such as `pyarrow.dataset` and `datasets`, do neither.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agentos.data.sources import files, lines
from agentos.data.sources.base import Document
from agentos.data.sources.file_source import FileSource
from agentos.data.sources.files import Files
from agentos.data.sources.lines import Encoding
from agentos.data.sources.record import (
    BadRecord,
    LabelColumn,
    TextColumn,
    from_record,
    unknown_column,
)
from protocols.errors import DataError

# An unclosed quote would turn the rest of the file into one field; past this length it is an error.
MAX_FIELD_CHARACTERS = 1 << 24


class Jsonl(FileSource):
    """JSON lines, one object per line: a file, a folder of *.jsonl, or a glob; also .gz."""

    kind: Literal["jsonl"] = "jsonl"
    text: TextColumn = "text"
    label: LabelColumn = None
    encoding: Encoding = "utf-8"

    def found(self) -> Files:
        """Return the files to read; in a folder, those that end in .jsonl."""
        return files.find(self.path, "**/*.jsonl")

    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file, line by line; empty lines are skipped."""
        for number, line in lines.lines(path, self.encoding):
            if isinstance(line, DataError):
                yield line
            elif line.strip():
                yield self._record(f"{path}, line {number}", f"{name}:{number}", line)

    def _record(self, where: str, identity: str, line: str) -> Document | DataError:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            return BadRecord(f"{where}: not valid JSON", reason="json", actual=str(error))
        if not isinstance(record, dict):
            return BadRecord(
                f"{where}: not a JSON object", reason="json", actual=type(record).__name__
            )
        return from_record(record, where, identity, self.text, self.label)


class Csv(FileSource):
    """CSV with a header line: a file, a folder of *.csv, or a glob; also .gz."""

    kind: Literal["csv"] = "csv"
    text: TextColumn = "text"
    label: LabelColumn = None
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="Character between the columns."
    )
    encoding: Encoding = "utf-8"

    def found(self) -> Files:
        """Return the files to read; in a folder, those that end in .csv."""
        return files.find(self.path, "**/*.csv")

    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file, row by row.

        Raises:
            DataError: the file lacks a column, or its quoting is broken, so that no later row is reliable.
        """
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARACTERS))
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        # Undecodable bytes pass as lone surrogates, so that the error can name their row.
        with io.TextIOWrapper(
            lines.open_bytes(path),
            encoding,
            errors="surrogateescape",
            newline="",
        ) as stream:
            reader = csv.reader(stream, delimiter=self.delimiter, strict=True)
            try:
                yield from self._rows(reader, path, name)
            except lines.DAMAGED as error:
                yield lines.truncated(f"{path}, line {reader.line_num + 1}", error)

    def _rows(self, reader: Any, path: Path, name: str) -> Iterator[Document | DataError]:
        header = _next_row(reader, path)
        if header is None:
            return
        for column in (self.text, self.label):
            if column is not None and column not in header:
                raise self._no_column(path, column, header)
        start = reader.line_num + 1
        while (row := _next_row(reader, path)) is not None:
            if row:
                yield self._record(f"{path}, line {start}", f"{name}:{start}", header, row)
            start = reader.line_num + 1

    def _no_column(self, path: Path, column: str, header: list[str]) -> DataError:
        error = unknown_column(f"{path}, line 1", column, header)
        others = [mark for mark in ";\t|" if mark in header[0] and mark != self.delimiter]
        if len(header) == 1 and others:
            error.hint = (
                f"the columns seem to be separated by {others[0]!r}: set data.source.delimiter"
            )
        return error

    def _record(
        self, where: str, identity: str, header: list[str], row: list[str]
    ) -> Document | DataError:
        if len(row) != len(header):
            return BadRecord(
                f"{where}: wrong number of columns",
                reason="columns",
                expected=f"{len(header)} columns",
                actual=f"{len(row)} columns",
            )
        record = dict(zip(header, row, strict=True))
        for column in (self.text, self.label):
            try:
                value = record[column or self.text]
                value.encode(self.encoding, "surrogateescape").decode(self.encoding)
            except UnicodeDecodeError as error:
                return lines.undecodable(where, self.encoding, error)
        return from_record(record, where, identity, self.text, self.label)


def _next_row(reader: Any, path: Path) -> list[str] | None:
    """Return the next row, or None at the end.

    Raises:
        DataError: the quoting is broken.
    """
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: not valid CSV",
            actual=str(error),
            hint="repair the quoting of the file, or set data.source.delimiter",
        ) from error
    return row
