"""An Arrow file of documents, written and read a batch at a time.

A memory map of the whole file is best for a few scattered rows. A pass over all rows reads the file
instead: the pages of a map stay resident until the system reclaims them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from agentos.data.sources.base import Document


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Callable[[list[Document]], None]]:
    """Open a file for writing, and yield a function that appends documents: id, text and label."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _schema()) as writer:
        yield lambda documents: writer.write_batch(
            pa.record_batch(_columns(documents), schema=_schema())
        )


def _schema() -> Any:
    # 64-bit offsets: the texts of a column may exceed 2 GB together.
    return pa.schema([("id", pa.string()), ("text", pa.large_string()), ("label", pa.string())])


def _columns(documents: list[Document]) -> list[list[str | None]]:
    return [
        [_printable(document.id) for document in documents],
        [document.text for document in documents],
        [None if d.label is None else _printable(d.label) for d in documents],
    ]


def _printable(text: str) -> str:
    # File names may hold bytes that are not UTF-8, which Arrow refuses.
    return text.encode("utf-8", "backslashreplace").decode()


def drop_rows(path: Path, rows: npt.NDArray[np.bool_]) -> None:
    """Rewrite the file without some of its rows.

    Args:
        path: file to rewrite.
        rows: `[documents]`, true for the rows to drop.
    """
    whole = path.with_suffix(".whole")
    path.rename(whole)
    with (
        pa.OSFile(str(whole)) as stream,
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, _schema()) as writer,
    ):
        reader = pa.ipc.open_file(stream)
        start = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            stay = ~rows[start : start + batch.num_rows]
            start += batch.num_rows
            if stay.any():
                writer.write_batch(batch.filter(pa.array(stay)))
    whole.unlink()


class TextReader:
    """Reads texts by row; ascending rows take one pass, with one batch in memory.

    Args:
        path: file to read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = -1
        self._texts: Any = None

    def texts(self, rows: npt.ArrayLike) -> Iterator[str]:
        """Yield the texts of some rows, in the order of the rows."""
        for row in np.asarray(rows, dtype=np.int64):
            number = int(np.searchsorted(self._starts, row, side="right")) - 1
            if number != self._held:
                self._held, self._texts = number, self._file.get_batch(number).column("text")
            yield self._texts[int(row - self._starts[number])].as_py()

    @cached_property
    def _file(self) -> Any:
        return pa.ipc.open_file(pa.OSFile(str(self._path)))

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        # Mapped: taking the length of a batch does not read it.
        file = pa.ipc.open_file(pa.memory_map(str(self._path)))
        lengths = [file.get_batch(number).num_rows for number in range(file.num_record_batches)]
        starts: npt.NDArray[np.int64] = np.cumsum([0, *lengths[:-1]])
        return starts
