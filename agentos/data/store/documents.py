"""Cleaned documents on disk: one memory-mapped Arrow file and its counts."""

from __future__ import annotations

import hashlib
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
FORMAT = 3
FILE = "documents.arrow"
COUNTS = "counts.json"
PUBLIC = "public:"
"""Prefix of the ids of documents from the source of public anchors."""


class Stored(NamedTuple):
    """An Arrow table with columns id, text and label, and counts of documents read and kept.

    Args:
        table: of the documents.
        counts: of documents, by outcome.
        digest: of all texts and labels, in order.
    """

    table: Any
    counts: dict[str, int]
    digest: str


def write_counts(folder: Path, counts: Mapping[str, int]) -> None:
    """Write the counts, a digest of the content, and the size by which truncation is recognised."""
    path = folder / FILE
    manifest = {
        "counts": dict(counts),
        "file_bytes": path.stat().st_size,
        "digest": _content_digest(path),
    }
    (folder / COUNTS).write_text(json.dumps(manifest), encoding="utf-8")


def _content_digest(path: Path) -> str:
    """Return a digest of texts and labels that depends on neither batches nor releases of Arrow."""
    total = hashlib.blake2b(digest_size=16)
    with pa.OSFile(str(path)) as stream:
        file = pa.ipc.open_file(stream)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            texts, labels = batch.column("text").to_pylist(), batch.column("label").to_pylist()
            for text, label in zip(texts, labels, strict=True):
                for value in (text, label):
                    raw = b"" if value is None else value.encode()
                    length = -1 if value is None else len(raw)
                    total.update(length.to_bytes(8, "little", signed=True))
                    total.update(raw)
    return total.hexdigest()


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
        content = str(manifest["digest"])
        whole = path.stat().st_size == manifest["file_bytes"]
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the documents in {folder} cannot be read", actual=str(error)) from error
    if not whole or table.num_rows != counts.get("kept"):
        raise DataError(f"the documents in {folder} are damaged")
    return Stored(table, counts, content)


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
