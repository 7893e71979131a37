"""Ingestion: documents of the sources, cleaned, without duplicates, and stored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from agentos.data.cleaning import clean as cleaning
from agentos.data.cleaning import minhash, near_duplicates, rules
from agentos.data.cleaning.counts import BAD, OUTCOMES, left_out
from agentos.data.cleaning.seen_keys import SeenKeys
from agentos.data.config import DataConfig
from agentos.data.sources.base import Document
from agentos.data.sources.files import digest
from agentos.data.sources.record import BadRecord
from agentos.data.store.arrow_file import drop_rows, writing
from agentos.data.store.batches import batches
from agentos.data.store.documents import FILE, FORMAT, PUBLIC, write_counts
from agentos.data.store.npy import NpyWriter
from protocols.errors import DataError

logger = logging.getLogger(__name__)
Progress = Callable[[str, int], None]
"""Called with a stage and the number of documents so far."""


def key(config: DataConfig) -> str:
    """Return a digest of everything that the stored documents depend on."""
    source, near = type(config.source), config.near_duplicates
    public = config.anchor_source
    return digest(
        f"{source.__module__}.{source.__qualname__}",
        config.source.fingerprint(),
        rules.fingerprint(config.cleaning),
        f"{minhash.VERSION} {near.model_dump_json()}" if near else "",
        str((FORMAT, config.minimum_words, config.limit, config.on_bad_record)),
        *(() if public is None else (type(public).__qualname__, public.fingerprint())),
    )


def ingest(config: DataConfig, folder: Path, progress: Progress) -> None:
    """Stream the sources into a folder as `agentos.data.store.documents.load` expects it.

    Memory holds a batch, 8 bytes for every document kept, and some tens of bytes for each while near
    duplicates are compared.

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
                signed.append(minhash.signatures([document.text for document in batch], near))
            progress("reading", counts["read"])
    if near and counts["kept"]:
        progress("comparing", counts["kept"])
        repeated = near_duplicates.repeats(signatures, near)
        counts["near_duplicates"] = int(repeated.sum())
        counts["kept"] -= counts["near_duplicates"]
        if counts["near_duplicates"]:
            drop_rows(path, repeated)
    signatures.unlink()
    if not counts["kept"]:
        raise DataError(
            "the source holds no usable document",
            actual=f"{counts['read']} read; left out: {left_out(counts)}",
            hint="check data.source, or lower data.minimum_words and the bounds of data.cleaning",
        )
    write_counts(folder, counts)


def _kept(config: DataConfig, counts: Counter[str]) -> Iterator[list[Document]]:
    """Yield clean documents without duplicates, in batches, and count every outcome."""
    seen = SeenKeys()
    for batch in batches(_usable(config, counts), lambda document: len(document.text)):
        cleaned = []
        for document in batch:
            text = rules.clean_text(document.text, config.cleaning)
            reason = rules.refusal(text, config.cleaning, config.minimum_words)
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
                # Any label will do: one document without a label would disable labels for all.
                yield Document(PUBLIC + record.id, record.text, record.label or PUBLIC)
            else:
                yield record
