"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from agentos.data import files
from agentos.data.files import FilesPath, LabelColumn, TextColumn
from agentos.data.source import Document, Source, refuse_bad
from protocols.errors import DataError

BATCH_ROWS = 1024


class Parquet(Source):
    """Parquet: a file, a folder of *.parquet, or a glob."""

    kind: Literal["parquet"] = "parquet"
    path: FilesPath
    text: TextColumn = "text"
    label: LabelColumn = None

    def documents(self) -> Iterator[Document]:
        """Stream the documents, batch by batch.

        Raises:
            DataError: nothing to read, a file that is not Parquet, a column that is not there or
                is not text, or a row without text.
        """
        return refuse_bad(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name, size and time of every file."""
        return files.fingerprint(self.model_dump_json(), files.find(self.path, "**/*.parquet"))

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error for each row that cannot be used.

        Raises:
            DataError: a file is not Parquet, or lacks a column.
        """
        import pyarrow as pa

        found = files.find(self.path, "**/*.parquet")
        for path in found.paths:
            row = 0
            try:
                for text, label in self._rows(path):
                    row += 1
                    where, identity = f"{path}, row {row}", f"{found.name(path)}:{row}"
                    yield files.document(identity, where, text, label, self.label is not None)
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{path}, after row {row}: not a readable Parquet file",
                    actual=str(error),
                    mend="write the file again, or leave it out of data.source.path",
                ) from error
            if not row:
                yield files.empty(path)

    def _rows(self, path: Path) -> Iterator[tuple[Any, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [self.text] if self.label is None else [self.text, self.label]
        with path.open("rb") as stream:
            file = pq.ParquetFile(stream)
            schema = file.schema_arrow
            for column in columns:
                if column not in schema.names:
                    raise files.unknown_column(str(path), column, schema.names)
            kind = schema.field(self.text).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not _is_text(kind):
                raise DataError(
                    f"{path}: column {self.text!r} is not text", expected="string", actual=kind
                )
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                texts = batch.column(self.text).to_pylist()
                labels = [None] * len(texts)
                if self.label is not None:
                    labels = batch.column(self.label).to_pylist()
                yield from zip(texts, labels, strict=True)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
