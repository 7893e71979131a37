"""Quality of rankings: how high the relevant documents of each query stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.retrieval import Ranked, measures
from agents.answering.ranking import Ranking
from protocols.errors import ConfigurationError


def ranking_measures(ranking: Ranking, relevant: Sequence[Mapping[int, int]]) -> dict[str, float]:
    """Return ``mrr``, ``recall_at_10`` and ``ndcg_at_10``, each the mean over queries.

    A relevant document that is not among the candidates counts as not found.

    Args:
        ranking: candidates of Q queries.
        relevant: for each query, the numbers of its relevant documents, and their grades, above 0.

    Raises:
        ConfigurationError: a query has no relevant document, or there are not as many queries.
    """
    _check(ranking, relevant)
    return measures(_ranks(ranking, relevant))


def gains(ranking: Ranking, relevant: Sequence[Mapping[int, int]]) -> NDArray[np.float64]:
    """Return the nDCG@10 `[Q]` of each query; see `ranking_measures`."""
    _check(ranking, relevant)
    return np.array([measures(iter([each]))["ndcg_at_10"] for each in _ranks(ranking, relevant)])


def _check(ranking: Ranking, relevant: Sequence[Mapping[int, int]]) -> None:
    if len(relevant) != len(ranking.ids) or not all(relevant):
        raise ConfigurationError(
            "rankings are measured on queries with relevant documents",
            expected=f"at least one relevant document for each of {len(ranking.ids)} queries",
            actual=f"{sum(map(bool, relevant))} of {len(relevant)} queries have one",
            hint="leave out queries without judgements",
        )


def _ranks(ranking: Ranking, relevant: Sequence[Mapping[int, int]]) -> Iterator[Ranked]:
    for row, graded in zip(ranking.candidates, relevant, strict=True):
        places = {int(document): rank for rank, document in enumerate(row, start=1)}
        ranks = np.array([places.get(document, np.inf) for document in graded])
        order = np.argsort(ranks, kind="stable")
        yield ranks[order], np.array(list(graded.values()))[order]
