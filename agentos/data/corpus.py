"""The corpus of a run: read once, cleaned, without duplicates, split, and divided."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agentos.data.cleaning.counts import left_out, repeats_across
from agentos.data.config import DataConfig, TokenizerConfig
from agentos.data.partition.shares import check_shards
from agentos.data.sources.files import digest
from agentos.data.store import documents as storage
from agentos.data.store.arrow_file import TextReader
from agentos.data.store.cache import cached, default_cache
from agentos.data.tokenization import tokenizer as tokenizers
from agentos.data.tokenization.token_store import FORMAT, TokenStore, write_tokens
from protocols.errors import ConfigurationError
from protocols.seeding import generator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)
IntArray = npt.NDArray[np.int64]
Progress = Callable[[str, int], None]
CHECKED_DOCUMENTS = 500


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents on disk, and which of them are for what. It pickles without the texts.

    Args:
        directory: holds the documents; its name is a digest of all that they depend on.
        train: rows to train on, sorted.
        anchors: rows that every agent may read, sorted.
        heldout: rows for evaluation, sorted; no row is in two of the three.
        shards: for each agent, the rows of `train` that are its own, sorted.
        names: for each agent a name to display: the label that it alone reads, else ``agent-i``.
        counts: documents read, kept and left out, by reason (`agentos.data.cleaning.counts.OUTCOMES`); train,
            anchors and heldout; and across, see `agentos.data.cleaning.counts.repeats_across`.
    """

    directory: Path
    train: IntArray
    anchors: IntArray
    heldout: IntArray
    shards: tuple[IntArray, ...]
    names: tuple[str, ...]
    counts: dict[str, int]

    def __len__(self) -> int:
        """Return the number of documents."""
        return self.counts["kept"]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory map out; it is opened again where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_table"}

    def texts(self, rows: npt.ArrayLike) -> list[str]:
        """Return the texts of some rows, in the order of the rows."""
        column = self._table.column("text")
        return [column[int(row)].as_py() for row in np.asarray(rows)]

    def labels(self, rows: npt.ArrayLike) -> list[str | None]:
        """Return the labels of some rows, None where there is none."""
        column = self._table.column("label")
        return [column[int(row)].as_py() for row in np.asarray(rows)]

    def label_codes(self, rows: npt.ArrayLike) -> tuple[list[str], IntArray] | None:
        """Return the labels of all documents, sorted, and which one each of some rows has.

        None where a document has no label.
        """
        names, codes = storage.label_codes(self._table)
        return None if codes is None else (names, codes[np.asarray(rows)])

    @property
    def has_labels(self) -> bool:
        """Whether every document has a label."""
        return int(self._table.column("label").null_count) == 0

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

    The cleaned documents are kept in the cache, under a digest of the source's fingerprint and the
    cleaning; splitting depends on the seed and is quick. Duplicates and near duplicates are removed
    first, so none lies in two of train, anchors and held-out.

    Args:
        config: what to read and how to divide it.
        agents: among how many.
        seed: of the split and of the partition.
        cache: folder for what can be computed again; `default_cache()` where None.
        progress: called with a stage and a number of documents, now and then.

    Raises:
        DataError: the source cannot be read, or holds no usable document.
        ConfigurationError: there are too few documents, or they cannot be divided as asked.
    """
    directory = (cache or default_cache()) / "corpora" / storage.key(config)

    def build(folder: Path) -> None:
        storage.write(config, folder, progress or (lambda stage, count: None))

    stored = cached(directory, build, storage.load)
    train, anchors, heldout = _split(config, stored, agents, seed)
    names, codes = storage.label_codes(stored.table)
    reader = TextReader(directory / storage.FILE)
    shards = config.partition.assign(
        None if codes is None else codes[train],
        lambda rows: list(reader.texts(train[rows])),
        len(train),
        agents,
        generator(seed, "partition"),
    )
    check_shards(shards, len(train), agents)
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
    )


def _split(
    config: DataConfig, stored: storage.Stored, agents: int, seed: int
) -> tuple[IntArray, IntArray, IntArray]:
    order = generator(seed, "split").permutation(stored.counts["kept"]).astype(np.int64)
    if config.anchor_source is None:
        documents = len(order)
        anchors, private = order[: config.anchors], order[config.anchors :]
    else:  # what is not drawn from there is used for nothing
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
    held = [[] if codes is None else np.unique(codes[shard]).tolist() for shard in shards]
    readers = Counter(code for codes_held in held for code in codes_held)
    return tuple(
        names[own[0]] if len(own) == 1 and readers[own[0]] == 1 else f"agent-{agent}"
        for agent, own in enumerate(held)
    )


def tokenizer_for(
    corpus: Corpus, config: TokenizerConfig, seed: int, cache: Path | None = None
) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the anchors and a sample of the training documents.

    It is kept in the cache, and checked on a sample of the held-out documents.

    Raises:
        DataError: it does not know the text; see `agentos.data.tokenization.tokenizer.check`.
    """
    import tokenizers as library

    size = min(config.sample_documents, len(corpus.train))
    sample = generator(seed, "tokenizer").choice(corpus.train, size=size, replace=False)
    rows = np.sort(np.concatenate([corpus.anchors, sample]))
    settings = config.model_dump_json(exclude={"max_unknown_rate"})
    key = digest(corpus.directory.name, settings, rows.tobytes().hex(), library.__version__)

    def build(folder: Path) -> None:
        tokenizers.train(_Texts(corpus, rows), config).save_pretrained(str(folder))

    tokenizer = cached((cache or default_cache()) / "tokenizers" / key, build, tokenizers.load)
    checked = _Texts(corpus, corpus.heldout[:CHECKED_DOCUMENTS])
    rate = tokenizers.check(tokenizer, checked, config.max_unknown_rate)
    logger.info("the tokenizer has %d tokens; %.2f%% unknown", len(tokenizer), 100 * rate)
    return tokenizer


def corpus_tokens(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    cache: Path | None,
    max_tokens: int,
) -> TokenStore:
    """Return the token ids of every document, row by row; kept in the cache.

    Args:
        corpus: whose rows the store has.
        tokenizer: any; its content is part of the key.
        cache: `default_cache()` where None.
        max_tokens: at which a document is cut.
    """
    key = digest(
        corpus.directory.name, tokenizers.content_digest(tokenizer), str(max_tokens), FORMAT
    )

    def build(folder: Path) -> None:
        write_tokens(_Texts(corpus, np.arange(len(corpus))), tokenizer, folder, max_tokens)

    return cached((cache or default_cache()) / "tokens" / key, build, TokenStore.open)


@dataclass(frozen=True)
class _Texts:
    """Texts of some rows in ascending order, read anew each time and never all in memory."""

    corpus: Corpus
    rows: IntArray

    def __iter__(self) -> Iterator[str]:
        return TextReader(self.corpus.directory / storage.FILE).texts(self.rows)
