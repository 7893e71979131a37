"""Text files of records with named columns: JSON lines and CSV.

Every error names file and line, and one bad record can be skipped. Readers that parse a file by blocks,
such as `pyarrow.dataset` and `datasets`, do neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from agentos.data.sources import files, lines
from agentos.data.sources.base import Document
from agentos.data.sources.csv_rows import csv_rows
from agentos.data.sources.file_source import FileSource
from agentos.data.sources.files import Files
from agentos.data.sources.lines import Encoding
from agentos.data.sources.record import LabelColumn, TextColumn, from_record, parse_object
from protocols.errors import DataError


class Jsonl(FileSource):
    """JSON lines, one object per line: a file, a folder of *.jsonl, or a glob; also compressed."""

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
        record = parse_object(line, where)
        if isinstance(record, DataError):
            return record
        return from_record(record, where, identity, self.text, self.label)


class Csv(FileSource):
    """CSV or TSV with a header line: a file, a folder of *.csv, or a glob; also compressed."""

    kind: Literal["csv"] = "csv"
    text: TextColumn = "text"
    label: LabelColumn = None
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Character between the columns; where null, a tab in files that end in .tsv, and a "
        "comma in others. Between tabs a quote is a character like any other.",
    )
    encoding: Encoding = "utf-8"

    def found(self) -> Files:
        """Return the files to read; in a folder, those that end in .csv."""
        return files.find(self.path, "**/*.csv")

    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file, row by row.

        Raises:
            DataError: the file lacks a column or names one twice, or its quoting is broken.
        """
        columns = [self.text] if self.label is None else [self.text, self.label]
        for line, row in csv_rows(path, columns, self.delimiter, self.encoding):
            if isinstance(row, DataError):
                yield row
            else:
                where, identity = f"{path}, line {line}", f"{name}:{line}"
                yield from_record(row, where, identity, self.text, self.label)
