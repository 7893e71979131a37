r"""Standard scores: what lets scores of unlike encoders be compared.

A cosine counts in standard deviations from the mean of its query over the agent's own documents:

\[ z(q, d) = \frac{\cos(q, d) - \mu_q}{\sigma_q} \]

and a document that several agents found counts with its highest score (CombMAX). Where documents are spread
at random, shards of one corpus have about the same mean and deviation, so a score means about the same in
each.

Source: Fox and Shaw, Combination of multiple searches, 1994, for CombMAX; Lee, Analyses of multiple evidence
combination, 1997, for normalised scores.

Legend: Q queries, N documents of a shard, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.answering.ranking.search import Ranking, best_distinct, check_queries, unit_rows

_LEAST = 1e-12
"""Deviation below which all documents of a shard are alike to a query, and none stands out."""


def standardised(
    ranking: Ranking, queries_QD: NDArray[np.floating], shard_ND: NDArray[np.floating]
) -> Ranking:
    """Return a ranking with standard scores in place of cosines.

    Args:
        ranking: of a search over the shard, whose scores are cosines.
        queries_QD: embeddings of the queries.
        shard_ND: embeddings of the shard's documents.
    """
    cosines_QN = unit_rows(queries_QD) @ unit_rows(shard_ND).T
    mean_Q1 = cosines_QN.mean(axis=1, keepdims=True)
    deviation_Q1 = cosines_QN.std(axis=1, keepdims=True)
    flat_Q1 = deviation_Q1 < _LEAST
    scores = (ranking.scores - mean_Q1) / np.where(flat_Q1, 1.0, deviation_Q1)
    kept = np.where(flat_Q1, 0.0, scores).astype(np.float32)
    return Ranking(ranking.ids, ranking.candidates, kept, ranking.origins)


def standard_flops(documents: int) -> float:
    """Return the FLOPs of a query's mean and deviation, after its search."""
    return 4.0 * documents


def fuse_scores(rankings: Sequence[Ranking], limit: int) -> Ranking:
    """Fuse rankings with standard scores: every document with its highest one.

    Args:
        rankings: about the same queries, in any order.
        limit: candidates of each query; fewer where all agents together found fewer.

    Raises:
        ConfigurationError: there are no rankings, or they are of different queries.
    """
    check_queries(rankings)
    candidates = np.concatenate([each.candidates for each in rankings], axis=1)
    scores = np.concatenate([each.scores for each in rankings], axis=1)
    kept, found = best_distinct(candidates, scores, limit)
    origins = tuple(sorted({origin for each in rankings for origin in each.origins}))
    return Ranking(rankings[0].ids, kept, found, origins)
