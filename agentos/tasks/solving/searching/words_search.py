"""Words alone: BM25, which every society that searches has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentos.tasks.solving.lexical_baseline import cut
from agents.answering.answers import Labels
from agents.answering.ranking import Ranking
from agents.answering.ranking.search import best

_K1, _B = 1.5, 0.75
_ORIGIN = "0" * 16
"""In place of the digest of weights: there are none."""


def lexical_ranking(
    ids: Labels, queries: Sequence[str], corpus: Sequence[str], limit: int, words: int
) -> Ranking:
    """Search a corpus by BM25.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.

    Args:
        ids: `[Q]`, of the queries.
        queries: their texts.
        corpus: the documents.
        limit: candidates of each query.
        words: first words of a text that count, as encoders see so many tokens.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b")
    counts_CV = counter.fit_transform(cut(corpus, words)).astype(np.float64).tocoo()
    lengths_C = np.asarray(counts_CV.sum(axis=1)).ravel()
    found_V = np.bincount(counts_CV.col, minlength=counts_CV.shape[1])
    idf_V = np.log1p((len(corpus) - found_V + 0.5) / (found_V + 0.5))
    scale = _K1 * (1 - _B + _B * lengths_C / max(lengths_C.mean(), 1.0))
    values = counts_CV.data
    counts_CV.data = idf_V[counts_CV.col] * values * (_K1 + 1) / (values + scale[counts_CV.row])
    asked_QV = (counter.transform(cut(queries, words)) > 0).astype(np.float64)
    scores_QC = np.asarray((asked_QV @ counts_CV.tocsr().T).todense()).astype(np.float32)
    numbers_QC = np.broadcast_to(np.arange(len(corpus)), scores_QC.shape)
    candidates, scores = best(numbers_QC, scores_QC, limit)
    return Ranking(ids, candidates, scores, (_ORIGIN,))
