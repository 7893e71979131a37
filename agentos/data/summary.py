"""Figures of a corpus: lengths, tokens, sentences, and each agent's share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from agentos.data.corpus import Corpus
from agentos.data.store import documents as storage
from agentos.data.tokenization.corpus_tokens import CHECKED_DOCUMENTS
from agentos.data.tokenization.token_store import TokenStore
from agentos.data.tokenization.tokenizer import unknown_rate

IntArray = npt.NDArray[np.int64]
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Summary:
    """Figures of a corpus under one tokenizer.

    Args:
        counts: documents; see `Corpus`.
        names: names of the agents.
        lengths: `[documents]`, tokens of each, truncated at `data.max_document_tokens`.
        sentences: sentences in total.
        vocabulary: size of the tokenizer's vocabulary.
        unknown: share of unknown tokens in held-out documents, 0 to 1.
        documents: `[agents]`, private documents.
        tokens: `[agents]`, private tokens.
        labels: labels of all documents, sorted; empty if any document has no label.
        by_label: `[agents, labels]`, private documents.
    """

    counts: Mapping[str, int]
    names: tuple[str, ...]
    lengths: IntArray
    sentences: int
    vocabulary: int
    unknown: float
    documents: IntArray
    tokens: IntArray
    labels: tuple[str, ...]
    by_label: IntArray

    def as_json(self) -> dict[str, Any]:
        """Return the figures as values that JSON can hold; lengths as quantiles."""
        shares = zip(
            self.names,
            self.documents.tolist(),
            self.tokens.tolist(),
            self.by_label.tolist(),
            strict=True,
        )
        return {
            "documents": dict(self.counts),
            "tokens": int(self.lengths.sum()),
            "lengths": {f"{q:.0%}": float(np.quantile(self.lengths, q)) for q in _QUANTILES},
            "sentences": self.sentences,
            "vocabulary": self.vocabulary,
            "unknown": self.unknown,
            "label_skew": label_skew(self.by_label),
            "agents": [
                {
                    "name": name,
                    "documents": documents,
                    "tokens": tokens,
                    "labels": dict(zip(self.labels, labels, strict=True)),
                }
                for name, documents, tokens, labels in shares
            ],
        }


def summarise(corpus: Corpus, tokens: TokenStore, tokenizer: PreTrainedTokenizerBase) -> Summary:
    """Return the figures of a corpus.

    Args:
        corpus: the prepared corpus.
        tokens: tokens of its documents, row by row.
        tokenizer: the tokenizer that made them.
    """
    labels, codes = storage.label_codes(storage.load(corpus.directory).table)
    lengths = tokens.lengths
    by_label: IntArray = np.zeros((len(corpus.shards), len(labels)), dtype=np.int64)
    if codes is not None:
        for agent, rows in enumerate(corpus.shards):
            by_label[agent] = np.bincount(codes[rows], minlength=len(labels))
    return Summary(
        counts=corpus.counts,
        names=corpus.names,
        lengths=lengths,
        sentences=int(tokens.sentence_counts.sum()),
        vocabulary=len(tokenizer),
        unknown=unknown_rate(tokenizer, corpus.texts(corpus.heldout[:CHECKED_DOCUMENTS])),
        documents=np.array([len(rows) for rows in corpus.shards], dtype=np.int64),
        tokens=np.array([lengths[rows].sum() for rows in corpus.shards], dtype=np.int64),
        labels=tuple(labels),
        by_label=by_label,
    )


def label_skew(by_label: IntArray) -> float | None:
    r"""Return the Jensen-Shannon divergence of the agents' label distributions, as a share of its most.

    \(JS = H(\bar p) - \frac1A \sum_a H(p_a)\) over \(\log A\): 0 if all agents have the same shares
    of labels, 1 if no two share a label. None without labels, or for a single agent.

    Args:
        by_label: `[A, labels]`, private documents.

    Source: Lin, Divergence Measures Based on the Shannon Entropy, 1991.

    Example:
        >>> label_skew(np.array([[5, 0], [0, 3]])), label_skew(np.array([[1, 1], [2, 2]]))
        (1.0, 0.0)
    """
    agents, labels = by_label.shape
    if labels == 0 or agents < 2:
        return None
    shares = by_label / np.maximum(by_label.sum(axis=1, keepdims=True), 1)
    apart = _entropy(shares.mean(axis=0)) - float(np.mean([_entropy(row) for row in shares]))
    return max(0.0, apart / float(np.log(agents)))


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    found = shares[shares > 0]
    return float(-np.sum(found * np.log(found)))


def histogram(lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Count documents by length in doubling classes: 0-1, 2-3, 4-7, 8-15, ...

    Args:
        lengths: `[documents]`, tokens.

    Returns:
        The lower bounds of the classes, from the shortest to the longest that occurs, and the counts.

    Example:
        >>> bounds, counts = histogram(np.array([3, 4, 5, 16]))
        >>> bounds.tolist(), counts.tolist()
        ([2, 4, 8, 16], [1, 2, 0, 1])
    """
    classes = np.floor(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    first = int(classes.min())
    counts: IntArray = np.bincount(classes - first).astype(np.int64)
    bounds: IntArray = 2 ** np.arange(first, first + len(counts))
    return np.where(bounds == 1, 0, bounds), counts
