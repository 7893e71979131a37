"""Cleaned documents on disk: one memory-mapped Arrow file, without exact duplicates."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agentos.data import cleaning
from agentos.data.batches import batches
from agentos.data.config import DataConfig
from agentos.data.files import digest
from agentos.data.source import Document
from protocols.errors import DataError

logger = logging.getLogger(__name__)
FORMAT = 1
OUTCOMES = ("kept", "duplicates", "too_short", "bad")


class Stored(NamedTuple):
    """An Arrow table with columns id, text and label, and how many documents were read and kept."""

    table: Any
    counts: dict[str, int]


def key(config: DataConfig) -> str:
    """Return a digest of all that the stored documents depend on."""
    source = type(config.source)
    return digest(
        f"{source.__module__}.{source.__qualname__}",
        config.source.fingerprint(),
        str((FORMAT, cleaning.VERSION, config.minimum_words, config.limit, config.on_bad_record)),
    )


def write(config: DataConfig, folder: Path, progress: Callable[[str, int], None]) -> None:
    """Stream the source into ``documents.arrow``, and what was counted into ``counts.json``.

    In memory are one batch, and 16 bytes for every document that was kept.

    Raises:
        DataError: a record is bad and `config.on_bad_record` is "refuse", or nothing is left.
    """
    import pyarrow as pa

    # 64-bit offsets: texts of a column may be more than 2 GB together.
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("label", pa.string())])
    counts = Counter(dict.fromkeys(("read", *OUTCOMES), 0))
    path = folder / "documents.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches(_kept(config, counts), lambda document: len(document.text)):
            writer.write_batch(pa.record_batch(_columns(batch), schema=schema))
            progress("reading", counts["read"])
    if not counts["kept"]:
        raise DataError(
            "the source holds no document that can be used",
            actual=", ".join(f"{name} {count}" for name, count in counts.items()),
            mend="check data.source, or lower data.minimum_words",
        )
    manifest = {"counts": dict(counts), "file_bytes": path.stat().st_size}
    (folder / "counts.json").write_text(json.dumps(manifest), encoding="utf-8")


def _kept(config: DataConfig, counts: Counter[str]) -> Iterator[Document]:
    seen: set[bytes] = set()
    for record in islice(config.source.records(), config.limit):
        counts["read"] += 1
        if isinstance(record, DataError):
            if config.on_bad_record == "refuse":
                raise record
            if not counts["bad"]:
                logger.warning("skipping bad records; the first: %s", record)
            counts["bad"] += 1
            continue
        text = cleaning.clean(record.text)
        if cleaning.words(text) < config.minimum_words:
            counts["too_short"] += 1
        elif (fingerprint := cleaning.key(text)) in seen:
            counts["duplicates"] += 1
        else:
            seen.add(fingerprint)
            counts["kept"] += 1
            yield Document(record.id, text, record.label)


def _columns(batch: list[Document]) -> list[list[str | None]]:
    return [
        [_printable(document.id) for document in batch],
        [document.text for document in batch],
        [None if d.label is None else _printable(d.label) for d in batch],
    ]


def _printable(text: str) -> str:
    # Names of files may hold bytes that are not UTF-8, which Arrow refuses.
    return text.encode("utf-8", "backslashreplace").decode()


def load(folder: Path) -> Stored:
    """Map what `write` wrote.

    Raises:
        DataError: a file is missing, cut short or damaged.
    """
    import pyarrow as pa

    path = folder / "documents.arrow"
    try:
        manifest = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
        counts = {str(name): int(count) for name, count in manifest["counts"].items()}
        whole = path.stat().st_size == manifest["file_bytes"]
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the documents in {folder} cannot be read", actual=str(error)) from error
    if not whole or table.num_rows != counts.get("kept"):
        raise DataError(f"the documents in {folder} are damaged")
    return Stored(table, counts)


def label_codes(table: Any) -> tuple[list[str], npt.NDArray[np.int64] | None]:
    """Return the labels, sorted, and each document's code among them, [documents].

    The codes are None where a document has no label.
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
