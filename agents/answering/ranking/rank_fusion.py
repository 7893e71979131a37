r"""Fusion of rankings by unlike encoders, whose scores cannot be compared.

\[ s(d) = \sum_o \frac{1}{k + r_o(d)} \]

over the distinct origins o that ranked document d, at rank \(r_o(d)\) from 1. Rankings of one origin are
merged first, so that copies of an encoder count once.

Source: Cormack et al., Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods,
2009.

Legend: Q queries, L candidates of a query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.answering.ranking.search import Ranking, best, check_queries, merge
from protocols.errors import ConfigurationError

SMOOTHING = 60
"""The constant k of the paper, which keeps one first rank from outweighing two good ones."""


def fuse_ranks(rankings: Sequence[Ranking], limit: int) -> Ranking:
    """Fuse rankings into one; those of one origin by score, those of different ones by rank.

    Args:
        rankings: about the same queries, in any order.
        limit: candidates of each query; fewer where all agents together found fewer.

    Raises:
        ConfigurationError: there are no rankings, they are of different queries, or two rest in part on the
            same weights.
    """
    check_queries(rankings)
    groups: dict[tuple[str, ...], list[Ranking]] = {}
    for each in rankings:
        groups.setdefault(tuple(sorted(each.origins)), []).append(each)
    named = [origin for origins in groups for origin in origins]
    if len(set(named)) < len(named):
        raise ConfigurationError(
            "two rankings rest in part on the same weights, which would count twice",
            expected="rankings of the same origins, or of different ones",
            actual=sorted(origin[:12] for origin in set(named) if named.count(origin) > 1),
            hint="fuse the agents' own rankings, not rankings that are fused already",
        )
    # In the order of origins, so that the order of agents changes no sum.
    merged = [_of_origin(groups[origins]) for origins in sorted(groups)]
    if len(merged) == 1:
        only = merged[0]
        return Ranking(only.ids, only.candidates[:, :limit], only.scores[:, :limit], only.origins)
    fused = [_fused(merged, row) for row in range(len(merged[0].ids))]
    fewest = min([limit, *map(len, fused)])
    candidates, scores = [], []
    for found in fused:
        numbers = np.array([list(found)], dtype=np.int64)
        values = np.array([list(found.values())], dtype=np.float64)
        ordered, sums = best(numbers, values, fewest)
        candidates.append(ordered[0])
        scores.append(sums[0].astype(np.float32))
    origins = tuple(sorted(named))
    return Ranking(merged[0].ids, np.stack(candidates), np.stack(scores), origins)


def _of_origin(rankings: Sequence[Ranking]) -> Ranking:
    return merge(rankings, sum(each.candidates.shape[1] for each in rankings))


def _fused(merged: Sequence[Ranking], row: int) -> dict[int, float]:
    """Return the sum of reciprocal ranks of each document that a query found."""
    found: dict[int, float] = {}
    for ranking in merged:
        for rank, document in enumerate(ranking.candidates[row].tolist(), start=1):
            found[document] = found.get(document, 0.0) + 1.0 / (SMOOTHING + rank)
    return found
