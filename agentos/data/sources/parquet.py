"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from agentos.data.sources import files
from agentos.data.sources.base import Document
from agentos.data.sources.file_source import FileSource
from agentos.data.sources.files import Files
from agentos.data.sources.record import LabelColumn, TextColumn, document, unknown_column
from protocols.errors import DataError

BATCH_ROWS = 1024
TEXT_TYPES = ("string", "large_string", "string_view")


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
        import pyarrow.parquet  # not at the top: reading a configuration imports this module

        row = 0
        try:
            for text, label in self._rows(path):
                row += 1
                where, identity = f"{path}, row {row}", f"{name}:{row}"
                yield document(identity, where, text, label, self.label is not None)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path}, after row {row}: not a readable Parquet file",
                actual=str(error),
                hint="write the file again, or leave it out of data.source.path",
            ) from error

    def _rows(self, path: Path) -> Iterator[tuple[Any, Any]]:
        import pyarrow.parquet

        columns = [self.text] if self.label is None else [self.text, self.label]
        with path.open("rb") as stream:
            file = pyarrow.parquet.ParquetFile(stream)
            schema = file.schema_arrow
            for column in columns:
                if column not in schema.names:
                    raise unknown_column(str(path), column, schema.names)
            kind = schema.field(self.text).type
            kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
            if str(kind) not in TEXT_TYPES:
                raise DataError(
                    f"{path}: column {self.text!r} is not text", expected="string", actual=kind
                )
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                texts = batch.column(self.text).to_pylist()
                labels = [None] * len(texts)
                if self.label is not None:
                    labels = batch.column(self.label).to_pylist()
                yield from zip(texts, labels, strict=True)
