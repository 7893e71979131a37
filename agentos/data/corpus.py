"""The corpus of a run: cleaned documents, split into train, anchors and held-out, and divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentos.data.cleaning.counts import left_out, repeats_across
from agentos.data.config import DataConfig
from agentos.data.ingest import Progress, ingest, key
from agentos.data.partition.shares import check_shards
from agentos.data.private_labels import draw_beyond, draw_within, pooled
from agentos.data.sources.files import digest
from agentos.data.store import documents as storage
from agentos.data.store.arrow_file import TextReader
from agentos.data.store.cache import cached, default_cache
from protocols.errors import ConfigurationError, DataError
from protocols.seeding import generator

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents on disk, and the rows of each part of the split; it pickles without the texts.

    Args:
        directory: folder of the documents; its name is a digest of everything that they depend on.
        train: rows to train on, sorted.
        anchors: public rows that every agent reads, sorted.
        heldout: rows for evaluation, sorted; the three parts are disjoint.
        shards: the private rows of each agent, sorted; a division of `train`, but for agents with equal rows.
        names: a display name for each agent: the label that only it reads, else ``agent-i``.
        counts: documents read, kept and left out, by reason (`agentos.data.cleaning.counts.OUTCOMES`); train,
            anchors and heldout; and across, see `agentos.data.cleaning.counts.repeats_across`.
        text_digest: of the texts and labels of all documents, in order.
        labelled: rows of each agent whose labels it knows, sorted; empty without private labels. They lie in
            its shard, or in none and not in `train`.
    """

    directory: Path
    train: IntArray
    anchors: IntArray
    heldout: IntArray
    shards: tuple[IntArray, ...]
    names: tuple[str, ...]
    counts: dict[str, int]
    text_digest: str
    labelled: tuple[IntArray, ...] = ()

    @property
    def digest(self) -> str:
        """Return a digest of texts, labels, the split and each agent's share of it.

        It is the same on every machine and under every path: two runs with equal digests read the same.
        """
        parts = (self.train, self.anchors, self.heldout, *self.shards, *self.labelled)
        rows = (np.ascontiguousarray(part, dtype="<i8").tobytes().hex() for part in parts)
        return digest(self.text_digest, *rows)

    def __len__(self) -> int:
        """Return the number of documents."""
        return self.counts["kept"]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is read from the folder on first use."""
        lazy = ("_table", "_label_codes")
        return {name: value for name, value in self.__dict__.items() if name not in lazy}

    def texts(self, rows: npt.ArrayLike) -> list[str]:
        """Return the texts of some rows, in the order of the rows."""
        column = self._table.column("text")
        return [column[int(row)].as_py() for row in np.asarray(rows)]

    def ids(self, rows: npt.ArrayLike) -> list[str]:
        """Return the ids of some rows, as their source gives them."""
        column = self._table.column("id")
        return [column[int(row)].as_py() for row in np.asarray(rows)]

    def labels(self, rows: npt.ArrayLike) -> list[str | None]:
        """Return the labels of some rows; None for a document without a label."""
        column = self._table.column("label")
        return [column[int(row)].as_py() for row in np.asarray(rows)]

    def label_codes(self, rows: npt.ArrayLike) -> tuple[list[str], IntArray] | None:
        """Return the labels of all documents, sorted, and the codes of some rows among them.

        None if any document has no label.
        """
        names, codes = self._label_codes
        return None if codes is None else (names, codes[np.asarray(rows, dtype=np.int64)])

    @property
    def has_labels(self) -> bool:
        """Return whether every document has a label."""
        return int(self._table.column("label").null_count) == 0

    @cached_property
    def _label_codes(self) -> tuple[list[str], IntArray | None]:
        return storage.label_codes(self._table)

    @cached_property
    def _table(self) -> Any:
        return storage.load(self.directory).table


def prepare(
    config: DataConfig,
    *,
    agents: int,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read, clean, split and divide the text of a run.

    The cleaned documents are cached under a digest of the source's fingerprint and the cleaning, and
    compared with the digests of when they were built; splitting depends on the seed and is quick.
    Duplicates and near duplicates are removed first, so that none leaks from one of train, anchors and
    held-out into another.

    Args:
        config: the data section of a run.
        agents: number of agents.
        seed: seed of the split and of the partition.
        cache: folder of everything that can be computed again; `default_cache()` if None.
        progress: called from time to time with a stage and a number of documents.

    Raises:
        DataError: the source cannot be read, changes while it is read, or holds no usable document.
        ConfigurationError: there are too few documents, or they cannot be divided as asked.
    """
    directory = (cache or default_cache()) / "corpora" / key(config)

    def build(folder: Path) -> None:
        ingest(config, folder, progress or (lambda stage, count: None))
        if key(config) != directory.name:
            raise DataError(
                "the source changed while it was read",
                hint="start again when nothing writes the files of data.source any more",
            )

    stored = cached(directory, build, storage.load)
    train, anchors, heldout = _split(config, stored, agents, seed)
    names, codes = storage.label_codes(stored.table)
    private = config.private_labels
    beyond = draw_beyond(private, train, codes, names, agents, seed)
    if beyond:
        train = np.setdiff1d(train, np.concatenate(beyond), assume_unique=True)
    reader = TextReader(directory / storage.FILE)
    shards = config.partition.assign(
        None if codes is None else codes[train],
        lambda rows: list(reader.texts(train[rows])),
        len(train),
        agents,
        generator(seed, "partition"),
    )
    check_shards(shards, len(train), agents, config.partition.divides)
    rows = tuple(train[shard] for shard in shards)
    sizes = {"train": len(train), "anchors": len(anchors), "heldout": len(heldout)}
    across = repeats_across(stored.counts, sizes)
    return Corpus(
        directory,
        train,
        anchors,
        heldout,
        rows,
        _display_names(rows, names, codes),
        {**stored.counts, **sizes, "across": across},
        stored.digest,
        pooled(private, beyond or draw_within(private, rows, codes, seed)),
    )


def _split(
    config: DataConfig, stored: storage.Stored, agents: int, seed: int
) -> tuple[IntArray, IntArray, IntArray]:
    order = generator(seed, "split").permutation(stored.counts["kept"]).astype(np.int64)
    if config.anchor_source is None:
        documents = len(order)
        anchors, private = order[: config.anchors], order[config.anchors :]
    else:  # public documents beyond the anchors stay unused
        public = storage.public_rows(stored.table)[order]
        anchors, private = order[public][: config.anchors], order[~public]
        documents = len(private)
    heldout = min(config.heldout_limit, max(1, round(config.heldout * documents)))
    if len(anchors) < config.anchors or len(private) < heldout + agents:
        counts, needed = stored.counts, config.anchors + heldout + agents
        raise ConfigurationError(
            "there are too few documents",
            expected=f"at least {needed}: {config.anchors} anchors, {heldout} held out and one for "
            f"each of {agents} agents",
            actual=f"{counts['kept']} of {counts['read']} read; left out: {left_out(counts)}",
            hint="lower data.anchors, data.heldout, data.minimum_words or agents.count, or read "
            "more text",
        )
    held, train = private[:heldout], private[heldout:]
    return np.sort(train), np.sort(anchors), np.sort(held)


def _display_names(
    shards: Sequence[IntArray], names: Sequence[str], codes: IntArray | None
) -> tuple[str, ...]:
    codes_of = [[] if codes is None else np.unique(codes[shard]).tolist() for shard in shards]
    readers = Counter(code for own in codes_of for code in own)
    return tuple(
        names[own[0]] if len(own) == 1 and readers[own[0]] == 1 else f"agent-{agent}"
        for agent, own in enumerate(codes_of)
    )
