"""Search over a corpus whose documents are spread over agents, and the merge of what they find.

Each agent searches its own shard exactly, by cosine. Where all have one encoder, the merged result is that of
a search over the whole corpus, to the bit: a cosine is computed from its two rows alone, in an order that
does not depend on the other rows, and ties are broken by the number of the document. Scores of unlike
encoders are not comparable: their ranks are fused. The best reply from a bank is the first document of a
search.

Legend: Q queries, L candidates of a query, N documents of a shard, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Labels
from protocols.errors import ConfigurationError
from protocols.messages import RankedAnswer

Real = TypeVar("Real", bound=np.floating[Any])
_CELLS = 1 << 22
"""Products that are in memory at once."""


@dataclass(frozen=True)
class Ranking:
    """Candidates of each query, the best first.

    Attributes:
        ids: `[Q]` int64, of the queries.
        candidates: `[Q, L]` int64, numbers of documents.
        scores: `[Q, L]` float32, descending; comparable within a ranking.
        origins: digests of the weights behind it.
    """

    ids: Labels
    candidates: Labels
    scores: NDArray[np.float32]
    origins: tuple[str, ...]

    def payload(self, task: str, attempt: int, flops: float, seconds: float) -> RankedAnswer:
        """Return the ranking as a payload, with what it cost."""
        return RankedAnswer(
            task=task,
            attempt=attempt,
            origins=self.origins,
            ids=self.ids,
            candidates=self.candidates,
            scores=self.scores,
            flops=flops,
            seconds=seconds,
        )

    @classmethod
    def received(cls, payload: RankedAnswer) -> Ranking:
        """Return the ranking in an admitted payload, sorted: a sender's order is not to be trusted."""
        candidates, scores = best(payload.candidates, payload.scores, payload.scores.shape[1])
        return cls(payload.ids, candidates, scores, payload.origins)


def search(
    ids: Labels,
    queries_QD: NDArray[np.floating],
    documents: Labels,
    shard_ND: NDArray[np.floating],
    limit: int,
    origin: str,
) -> Ranking:
    """Search a shard exactly: the documents of the highest cosine to each query.

    Args:
        ids: `[Q]`, of the queries.
        queries_QD: their embeddings.
        documents: `[N]` different numbers of the shard's documents, the same in all shards.
        shard_ND: their embeddings.
        limit: candidates of each query; all documents where there are fewer.
        origin: digest of the agent's weights.

    Raises:
        ConfigurationError: queries and documents are not of one width, or there are none.
    """
    _check(ids, queries_QD, documents, shard_ND, limit)
    unit_QD, unit_ND = unit_rows(queries_QD), unit_rows(shard_ND)
    cosines_QN = cosines(unit_QD, unit_ND).astype(np.float32)
    numbers_QN = np.broadcast_to(documents, cosines_QN.shape)
    candidates, scores = best(numbers_QN, cosines_QN, limit)
    return Ranking(ids, candidates, scores, (origin,))


def search_flops(documents: int, width: int) -> float:
    """Return the FLOPs of one query's search, without those of the embedding."""
    return float(2 * documents * width + 3 * width)


def merge(rankings: Sequence[Ranking], limit: int) -> Ranking:
    """Merge the rankings of shards that one encoder searched; as many as `limit` are exact.

    A document that several found counts once.

    Args:
        rankings: those of the shards, about the same queries, in any order; each of `limit` candidates, or of
            all documents of the shard.
        limit: candidates of each query; fewer where all shards together hold fewer.

    Raises:
        ConfigurationError: encoders or queries differ.
    """
    check_queries(rankings)
    origins = {each.origins for each in rankings}
    if len(origins) > 1:
        raise ConfigurationError(
            "scores of unlike encoders cannot be compared",
            expected="rankings by one encoder",
            actual=", ".join(sorted(each[0][:12] for each in origins)),
            hint="fuse their ranks: agents.answering.ranking.fuse_ranks",
        )
    candidates = np.concatenate([each.candidates for each in rankings], axis=1)
    scores = np.concatenate([each.scores for each in rankings], axis=1)
    first = rankings[0]
    kept, found = best_distinct(candidates, scores, limit)
    return Ranking(first.ids, kept, found, first.origins)


def check_queries(rankings: Sequence[Ranking]) -> None:
    """Check that there are rankings, all about the same queries in the same order.

    Raises:
        ConfigurationError: there are none, or they are not.
    """
    if not rankings or any(not np.array_equal(each.ids, rankings[0].ids) for each in rankings):
        raise ConfigurationError(
            "rankings of different queries cannot be merged",
            expected="rankings of at least one agent, all of the same queries in the same order",
            actual=[len(each.ids) for each in rankings],
            hint="ask every agent about the same queries",
        )


def unit_rows(rows_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return rows of length 1; zeros stay zeros. Each depends on no other row."""
    rows = rows_ND.astype(np.float64)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float64] = rows / np.where(lengths > 0, lengths, 1.0)
    return unit


def cosines(unit_QD: NDArray[np.float64], unit_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `[Q, N]` products of rows, each the same in whichever shard a document is.

    A product of matrices sums in an order that depends on their shapes; a sum along the contiguous last
    axis does not.
    """
    found = np.empty((len(unit_QD), len(unit_ND)))
    step = max(1, _CELLS // max(1, unit_ND.size))
    for start in range(0, len(unit_QD), step):
        products = unit_QD[start : start + step, None, :] * unit_ND[None, :, :]
        found[start : start + step] = products.sum(axis=2)
    return found


def best(
    candidates_QN: Labels, scores_QN: NDArray[Real], limit: int
) -> tuple[Labels, NDArray[Real]]:
    """Return the `limit` best, the highest score first and among equals the lowest number."""
    order = np.lexsort((candidates_QN, -scores_QN), axis=1)[:, :limit]
    return (
        np.take_along_axis(candidates_QN, order, axis=1),
        np.take_along_axis(scores_QN, order, axis=1),
    )


def best_distinct(
    candidates_QN: Labels, scores_QN: NDArray[np.float32], limit: int
) -> tuple[Labels, NDArray[np.float32]]:
    """Return what `best` does, of candidates that may be repeated, each once with its highest score.

    As many for every query: at most `limit`, and no more than the query with the fewest has.
    """
    order = np.lexsort((-scores_QN, candidates_QN), axis=1)
    candidates = np.take_along_axis(candidates_QN, order, axis=1)
    scores = np.take_along_axis(scores_QN, order, axis=1)
    repeats = np.zeros(candidates.shape, bool)
    repeats[:, 1:] = candidates[:, 1:] == candidates[:, :-1]
    fewest = int((~repeats).sum(axis=1).min(initial=candidates.shape[1]))
    return best(candidates, np.where(repeats, -np.inf, scores), min(limit, fewest))


def _check(
    ids: Labels,
    queries_QD: NDArray[np.floating],
    documents: Labels,
    shard_ND: NDArray[np.floating],
    limit: int,
) -> None:
    shapes = [list(queries_QD.shape), list(shard_ND.shape)]
    fits = queries_QD.ndim == shard_ND.ndim == 2 and queries_QD.shape[1] == shard_ND.shape[1]
    named = len(ids) == len(queries_QD) > 0 and len(documents) == len(shard_ND) > 0
    if not (fits and named):
        raise ConfigurationError(
            "queries and documents do not fit together",
            expected="at least one query and one document of one width, each with a number",
            actual=f"embeddings {shapes}, {len(ids)} queries, {len(documents)} documents",
            hint="embed queries and the shard with one agent",
        )
    if limit < 1 or len(np.unique(documents)) < len(documents):
        raise ConfigurationError(
            "a search needs different documents and a limit of at least 1",
            expected=f"{len(documents)} different numbers",
            actual=f"{len(np.unique(documents))} numbers, limit {limit}",
            hint="number the documents of the whole corpus from 0",
        )
