"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agentos.data.sources import files
from agentos.data.sources.base import Document
from agentos.data.sources.file_source import FileSource
from agentos.data.sources.files import Files
from agentos.data.sources.parquet_rows import parquet_rows
from agentos.data.sources.record import LabelColumn, TextColumn, from_record
from protocols.errors import DataError


class Parquet(FileSource):
    """Parquet: a file, a folder of *.parquet, or a glob."""

    kind: Literal["parquet"] = "parquet"
    text: TextColumn = "text"
    label: LabelColumn = None

    def found(self) -> Files:
        """Return the files to read; in a folder, those that end in .parquet."""
        return files.find(self.path, "**/*.parquet")

    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file, batch by batch.

        Raises:
            DataError: the file is not Parquet, lacks a column, or its text column is not text.
        """
        columns = [self.text] if self.label is None else [self.text, self.label]
        for row, record in parquet_rows(path, columns, text=self.text):
            where, identity = f"{path}, row {row}", f"{name}:{row}"
            yield from_record(record, where, identity, self.text, self.label)
