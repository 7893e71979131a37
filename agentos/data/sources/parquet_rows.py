"""Rows of Parquet files, within bounds.

Two kilobytes of Parquet can mean 20 GB of text: one long value in a dictionary, and thousands of
references to it. Text stays in its dictionary here, so that a value is in memory once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentos.data.sources.opening import FREE_BYTES, MAX_EXPANSION, expands, open_bytes
from agentos.data.sources.record import column_twice, repeated, unknown_column
from protocols.errors import DataError

BATCH_ROWS = 1024
TEXT_TYPES = ("string", "large_string", "string_view")
_ROW_BYTES = 4
"""Smallest size counted for a row: equal numbers and nulls take no room in a file."""


def parquet_rows(
    path: Path, columns: Sequence[str], optional: Sequence[str] = (), text: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Stream the rows of a file, numbered from 1: the values of some columns.

    All values together have at most `MAX_EXPANSION` times the size of the file, or `FREE_BYTES`. The
    format itself bounds a page to 2 GiB.

    Args:
        path: of the file.
        columns: that it must hold.
        optional: read where the file holds them.
        text: the column that must be text, if any.

    Raises:
        DataError: it is not Parquet, lacks a column, names one twice, nests values in one, or expands
            beyond the bound.
    """
    import pyarrow.parquet  # not at the top: reading a configuration imports this module

    row = 0
    try:
        with open_bytes(path) as stream:
            size = stream.seek(0, 2)
            limit, total = max(FREE_BYTES, MAX_EXPANSION * size), 0
            file, names = _opened(path, stream, columns, optional)
            _require_text(path, file, text)
            _check_pages(file, path, names, limit)
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                values, taken = zip(*(_values(batch.column(name)) for name in names), strict=True)
                total += sum(taken) + _ROW_BYTES * batch.num_rows
                if total > limit:
                    raise expands(path, limit)
                for found in zip(*values, strict=True):
                    row += 1
                    yield row, dict(zip(names, found, strict=True))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}, after row {row}: not a readable Parquet file",
            actual=str(error).split("\n")[0],
            hint="write the file again, or name another one",
        ) from error


def _opened(
    path: Path, stream: Any, columns: Sequence[str], optional: Sequence[str]
) -> tuple[Any, list[str]]:
    """Return the open file, with dictionaries for text, and the columns to read."""
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(stream)
    schema = file.schema_arrow
    twice = repeated(schema.names)
    if twice is not None:
        raise column_twice(str(path), twice)
    for column in columns:
        if column not in schema.names:
            raise unknown_column(str(path), column, schema.names)
    names = [*columns, *(name for name in optional if name in schema.names)]
    for name in names:
        if pyarrow.types.is_nested(_value_type(schema.field(name).type)):
            raise DataError(
                f"{path}: the column {name!r} cannot be used",
                expected="text or numbers",
                actual=schema.field(name).type,
                hint="name another column, or write one value into each row",
            )
    texts = [name for name in names if str(_value_type(schema.field(name).type)) in TEXT_TYPES]
    stream.seek(0)
    return pyarrow.parquet.ParquetFile(stream, read_dictionary=texts), names


def _require_text(path: Path, file: Any, column: str | None) -> None:
    kind = None if column is None else _value_type(file.schema_arrow.field(column).type)
    if kind is not None and str(kind) not in TEXT_TYPES:
        raise DataError(f"{path}: column {column!r} is not text", expected="string", actual=kind)


def _value_type(kind: Any) -> Any:
    return getattr(kind, "value_type", kind) if str(kind).startswith("dictionary") else kind


def _check_pages(file: Any, path: Path, names: Sequence[str], limit: int) -> None:
    """Refuse pages beyond the bound before they are decompressed."""
    total = 0
    for group in range(file.metadata.num_row_groups):
        chunks = file.metadata.row_group(group)
        for index in range(chunks.num_columns):
            chunk = chunks.column(index)
            if chunk.path_in_schema in names:
                total += chunk.total_uncompressed_size
    if total > limit:
        raise expands(path, limit)


def _values(column: Any) -> tuple[list[Any], int]:
    """Return the values of a column, equal text of one dictionary as one object, and their bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return column.to_pylist(), column.nbytes
    entries = column.dictionary.to_pylist()
    lengths = pc.binary_length(column.dictionary)
    taken = pc.sum(pc.take(lengths, column.indices)).as_py() or 0
    return [None if i is None else entries[i] for i in column.indices.to_pylist()], taken
