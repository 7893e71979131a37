"""Cleaned documents on disk: one memory-mapped Arrow file, without duplicates."""

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

from agentos.data.cleaning import clean as cleaning
from agentos.data.cleaning import near_duplicates
from agentos.data.cleaning.counts import BAD, OUTCOMES, left_out
from agentos.data.cleaning.seen_keys import SeenKeys
from agentos.data.config import DataConfig
from agentos.data.sources.base import Document
from agentos.data.sources.files import digest
from agentos.data.sources.record import BadRecord
from agentos.data.store.arrow_file import leave_out, writing
from agentos.data.store.batches import batches
from agentos.data.store.npy import NpyWriter
from protocols.errors import DataError

logger = logging.getLogger(__name__)
FORMAT = 2
FILE = "documents.arrow"
PUBLIC = "public:"
"""Begins the ids of documents from the source of public anchors."""

Progress = Callable[[str, int], None]


class Stored(NamedTuple):
    """An Arrow table with columns id, text and label, and how many documents were read and kept."""

    table: Any
    counts: dict[str, int]


def key(config: DataConfig) -> str:
    """Return a digest of all that the stored documents depend on."""
    source, near = type(config.source), config.near_duplicates
    public = config.anchor_source
    return digest(
        f"{source.__module__}.{source.__qualname__}",
        config.source.fingerprint(),
        config.cleaning.fingerprint(),
        f"{near_duplicates.VERSION} {near.model_dump_json()}" if near else "",
        str((FORMAT, config.minimum_words, config.limit, config.on_bad_record)),
        *(() if public is None else (type(public).__qualname__, public.fingerprint())),
    )


def write(config: DataConfig, folder: Path, progress: Progress) -> None:
    """Stream the source into ``documents.arrow``, and what was counted into ``counts.json``.

    In memory are a batch, 8 bytes for every document that was kept, and some tens of bytes for each
    while near duplicates are looked for.

    Raises:
        DataError: a record is bad and `config.on_bad_record` is "refuse", or nothing is left.
    """
    counts = Counter(dict.fromkeys(("read", "kept", *OUTCOMES), 0))
    path, signatures = folder / FILE, folder / "signatures.npy"
    near = config.near_duplicates
    width = near.permutations if near else 0
    with writing(path) as append, NpyWriter(signatures, np.uint32, width) as signed:
        for batch in _kept(config, counts):
            append(batch)
            if near:
                signed.append(near.signatures([document.text for document in batch]))
            progress("reading", counts["read"])
    if near and counts["kept"]:
        progress("comparing", counts["kept"])
        repeated = near.repeats(signatures)
        counts["near_duplicates"] = int(repeated.sum())
        counts["kept"] -= counts["near_duplicates"]
        if counts["near_duplicates"]:
            leave_out(path, repeated)
    signatures.unlink()
    if not counts["kept"]:
        raise DataError(
            "the source holds no document that can be used",
            actual=f"{counts['read']} read; left out: {left_out(counts)}",
            hint="check data.source, or lower data.minimum_words and the bounds of data.cleaning",
        )
    manifest = {"counts": dict(counts), "file_bytes": path.stat().st_size}
    (folder / "counts.json").write_text(json.dumps(manifest), encoding="utf-8")


def _kept(config: DataConfig, counts: Counter[str]) -> Iterator[list[Document]]:
    """Yield the documents that are clean and new, in batches, counting what becomes of all."""
    seen = SeenKeys()
    for batch in batches(_usable(config, counts), lambda document: len(document.text)):
        cleaned = []
        for document in batch:
            text = config.cleaning.clean(document.text)
            reason = config.cleaning.refusal(text, config.minimum_words)
            if reason is None:
                cleaned.append(Document(document.id, text, document.label))
            else:
                counts[reason] += 1
        keys = np.fromiter((cleaning.key(d.text) for d in cleaned), np.uint64, len(cleaned))
        new = seen.add(keys)
        kept = [document for document, fresh in zip(cleaned, new, strict=True) if fresh]
        counts["duplicates"] += len(cleaned) - len(kept)
        counts["kept"] += len(kept)
        if kept:
            yield kept


def _usable(config: DataConfig, counts: Counter[str]) -> Iterator[Document]:
    for record in _records(config):
        counts["read"] += 1
        if not isinstance(record, DataError):
            yield record
            continue
        if config.on_bad_record == "refuse":
            raise record
        if not counts["bad"]:
            logger.warning("skipping bad records; the first: %s", record)
        counts["bad"] += 1
        counts[BAD + (record.reason if isinstance(record, BadRecord) else "other")] += 1


def _records(config: DataConfig) -> Iterator[Document | DataError]:
    yield from islice(config.source.records(), config.limit)
    if config.anchor_source is not None:
        for record in islice(config.anchor_source.records(), config.limit):
            if isinstance(record, Document):
                # With some label, so that those of the private text are still labels of all.
                yield Document(PUBLIC + record.id, record.text, record.label or PUBLIC)
            else:
                yield record


def public_rows(table: Any) -> npt.NDArray[np.bool_]:
    """Return which documents come from the source of public anchors, [documents]."""
    import pyarrow.compute as pc

    found: npt.NDArray[np.bool_] = np.asarray(pc.starts_with(table.column("id"), PUBLIC))
    return found


def load(folder: Path) -> Stored:
    """Map what `write` wrote.

    Raises:
        DataError: a file is missing, cut short or damaged.
    """
    import pyarrow as pa

    path = folder / FILE
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
