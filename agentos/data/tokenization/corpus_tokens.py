"""Tokenizers and token ids of a corpus, cached."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from agentos.data.config import TokenizerConfig
from agentos.data.corpus import Corpus
from agentos.data.sources.files import digest
from agentos.data.store import documents as storage
from agentos.data.store.arrow_file import TextReader
from agentos.data.store.cache import cached, default_cache
from agentos.data.tokenization import tokenizer as tokenization
from agentos.data.tokenization.token_store import FORMAT, TokenStore, write_tokens
from protocols.seeding import generator

logger = logging.getLogger(__name__)
CHECKED_DOCUMENTS = 500
"""Held-out documents on which the share of unknown tokens is measured, at most."""


def tokenizer_for(
    corpus: Corpus, config: TokenizerConfig, seed: int, cache: Path | None = None
) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the anchors and a sample of the training documents.

    It is cached, and checked on a sample of the held-out documents.

    Raises:
        DataError: too many tokens are unknown; see `agentos.data.tokenization.tokenizer.check`.
    """
    size = min(config.sample_documents, len(corpus.train))
    sample = generator(seed, "tokenizer").choice(corpus.train, size=size, replace=False)
    rows = np.sort(np.concatenate([corpus.anchors, sample]))
    settings = config.model_dump_json(exclude={"max_unknown_rate"})
    key = digest(corpus.directory.name, settings, rows.tobytes().hex(), tokenizers.__version__)

    def build(folder: Path) -> None:
        tokenization.train(_Texts(corpus, rows), config).save_pretrained(str(folder))

    tokenizer = cached((cache or default_cache()) / "tokenizers" / key, build, tokenization.load)
    checked = _Texts(corpus, corpus.heldout[:CHECKED_DOCUMENTS])
    rate = tokenization.check(tokenizer, checked, config.max_unknown_rate)
    logger.info("the tokenizer has %d tokens; %.2f%% unknown", len(tokenizer), 100 * rate)
    return tokenizer


def corpus_tokens(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    cache: Path | None,
    max_tokens: int,
) -> TokenStore:
    """Return the token ids of every document, row by row; they are cached.

    Args:
        corpus: prepared; the store has the same rows.
        tokenizer: any; its content is part of the cache key.
        cache: `default_cache()` if None.
        max_tokens: length at which documents are truncated.
    """
    key = digest(
        corpus.directory.name, tokenization.content_digest(tokenizer), str(max_tokens), FORMAT
    )

    def build(folder: Path) -> None:
        write_tokens(_Texts(corpus, np.arange(len(corpus))), tokenizer, folder, max_tokens)

    return cached((cache or default_cache()) / "tokens" / key, build, TokenStore.open)


@dataclass(frozen=True)
class _Texts:
    """Texts of some rows in ascending order, read anew by each iteration and never all in memory."""

    corpus: Corpus
    rows: npt.NDArray[np.int64]

    def __iter__(self) -> Iterator[str]:
        return TextReader(self.corpus.directory / storage.FILE).texts(self.rows)
