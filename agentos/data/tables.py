"""Text files of records with named columns: JSON lines and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agentos.data import files
from agentos.data.files import FilesPath, LabelColumn, TextColumn
from agentos.data.source import Document, Source, refuse_bad
from protocols.errors import DataError

# A quote left open would take the rest of the file for one field; past this it is an error.
MAX_FIELD_CHARACTERS = 1 << 24


class Jsonl(Source):
    """JSON lines: one object a line, in a file, a folder of *.jsonl, or a glob."""

    kind: Literal["jsonl"] = "jsonl"
    path: FilesPath
    text: TextColumn = "text"
    label: LabelColumn = None

    def documents(self) -> Iterator[Document]:
        """Stream the documents, line by line.

        Raises:
            DataError: nothing to read, or a line that is corrupt or lacks a column.
        """
        return refuse_bad(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name, size and time of every file."""
        return files.fingerprint(self.model_dump_json(), files.find(self.path, "**/*.jsonl"))

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error for each line that cannot be used."""
        found = files.find(self.path, "**/*.jsonl")
        for path in found.paths:
            used = False
            for number, line in files.lines(path):
                if isinstance(line, str) and not line.strip():
                    continue
                used = True
                where, identity = f"{path}, line {number}", f"{found.name(path)}:{number}"
                yield line if isinstance(line, DataError) else self._record(where, identity, line)
            if not used:
                yield files.empty(path)

    def _record(self, where: str, identity: str, line: str) -> Document | DataError:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            return DataError(f"{where}: not valid JSON", actual=str(error), mend=files.SKIP_MEND)
        if not isinstance(record, dict):
            return DataError(
                f"{where}: not a JSON object", actual=type(record).__name__, mend=files.SKIP_MEND
            )
        return files.from_record(record, where, identity, self.text, self.label)


class Csv(Source):
    """CSV with a header line: a file, a folder of *.csv, or a glob."""

    kind: Literal["csv"] = "csv"
    path: FilesPath
    text: TextColumn = "text"
    label: LabelColumn = None
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="What separates the columns."
    )

    def documents(self) -> Iterator[Document]:
        """Stream the documents, row by row.

        Raises:
            DataError: nothing to read, a column that is not there, or a row that is corrupt.
        """
        return refuse_bad(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name, size and time of every file."""
        return files.fingerprint(self.model_dump_json(), files.find(self.path, "**/*.csv"))

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error for each row that cannot be used.

        Raises:
            DataError: a file lacks a column, or its quoting is broken so that no row is certain.
        """
        found = files.find(self.path, "**/*.csv")
        for path in found.paths:
            yield from self._file(path, found.name(path))

    def _file(self, path: Path, name: str) -> Iterator[Document | DataError]:
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARACTERS))
        # Bytes that are not UTF-8 pass as lone surrogates, so that their row can be named.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream, delimiter=self.delimiter, strict=True)
            header = _next_row(reader, path)
            if header is None:
                yield files.empty(path)
                return
            columns = [self.text] if self.label is None else [self.text, self.label]
            for column in columns:
                if column not in header:
                    raise files.unknown_column(f"{path}, line 1", column, header)
            start, used = reader.line_num + 1, False
            while (row := _next_row(reader, path)) is not None:
                if row:
                    used = True
                    yield self._record(f"{path}, line {start}", f"{name}:{start}", header, row)
                start = reader.line_num + 1
            if not used:
                yield files.empty(path)

    def _record(
        self, where: str, identity: str, header: list[str], row: list[str]
    ) -> Document | DataError:
        if len(row) != len(header):
            return DataError(
                f"{where}: a row of another length",
                expected=f"{len(header)} columns",
                actual=f"{len(row)} columns",
                mend=files.SKIP_MEND,
            )
        record = dict(zip(header, row, strict=True))
        for column in (self.text, self.label):
            try:
                record[column or self.text].encode("utf-8", "surrogateescape").decode("utf-8")
            except UnicodeDecodeError as error:
                return files.not_utf8(where, error)
        return files.from_record(record, where, identity, self.text, self.label)


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
            mend="mend the quoting of the file, or name its delimiter",
        ) from error
    return row
