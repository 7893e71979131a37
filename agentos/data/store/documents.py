"""Cleaned documents on disk: one memory-mapped Arrow file and its counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from protocols.errors import DataError

# Raise it when the files change: cached corpora are keyed by it.
FORMAT = 2
FILE = "documents.arrow"
COUNTS = "counts.json"
PUBLIC = "public:"
"""Prefix of the ids of documents from the source of public anchors."""


class Stored(NamedTuple):
    """An Arrow table with columns id, text and label, and counts of documents read and kept."""

    table: Any
    counts: dict[str, int]


def write_counts(folder: Path, counts: Mapping[str, int]) -> None:
    """Write the counts, and the size by which a truncated documents file is recognised."""
    manifest = {"counts": dict(counts), "file_bytes": (folder / FILE).stat().st_size}
    (folder / COUNTS).write_text(json.dumps(manifest), encoding="utf-8")


def public_rows(table: Any) -> npt.NDArray[np.bool_]:
    """Return which documents come from the source of public anchors, `[documents]`."""
    found: npt.NDArray[np.bool_] = np.asarray(pc.starts_with(table.column("id"), PUBLIC))
    return found


def load(folder: Path) -> Stored:
    """Map the documents in a folder.

    Raises:
        DataError: a file is missing, cut short or damaged.
    """
    path = folder / FILE
    try:
        manifest = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
        counts = {str(name): int(count) for name, count in manifest["counts"].items()}
        whole = path.stat().st_size == manifest["file_bytes"]
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the documents in {folder} cannot be read", actual=str(error)) from error
    if not whole or table.num_rows != counts.get("kept"):
        raise DataError(f"the documents in {folder} are damaged")
    return Stored(table, counts)


def label_codes(table: Any) -> tuple[list[str], npt.NDArray[np.int64] | None]:
    """Return the labels, sorted, and the code of each document among them, `[documents]`.

    The codes are None if any document has no label.
    """
    column = table.column("label")
    if column.null_count:
        return [], None
    encoded = column.combine_chunks().dictionary_encode()
    if hasattr(encoded, "chunks"):
        encoded = encoded.combine_chunks()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda code: str(names[code]))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return [names[code] for code in order], rank[encoded.indices.to_numpy(zero_copy_only=False)]
