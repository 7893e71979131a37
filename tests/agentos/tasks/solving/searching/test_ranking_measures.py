"""Measures of rankings against trec_eval, and of documents that were not found."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval

from agentos.tasks.solving.searching.ranking_measures import ranking_measures
from agents.answering.ranking import Ranking
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(0)


def ranked(rows) -> Ranking:
    candidates = np.array(rows)
    scores = np.tile(-np.arange(candidates.shape[1], dtype=np.float32), (len(rows), 1))
    return Ranking(np.arange(len(rows)), candidates, scores, ("a" * 16,))


def test_measures_are_those_of_trec_eval():
    candidates = np.stack([RNG.permutation(60)[:20] for _ in range(30)])
    graded = [
        {int(d): int(RNG.integers(1, 4)) for d in RNG.permutation(60)[: RNG.integers(1, 9)]}
        for _ in range(30)
    ]
    ranking = ranked(candidates)
    judge = pytrec_eval.RelevanceEvaluator(
        {str(q): {str(d): g for d, g in own.items()} for q, own in enumerate(graded)},
        {"recip_rank", "recall.10", "ndcg_cut.10"},
    )
    run = {
        str(q): {str(d): float(s) for d, s in zip(row, scores, strict=True)}
        for q, (row, scores) in enumerate(zip(candidates, ranking.scores, strict=True))
    }
    theirs = judge.evaluate(run).values()
    found = ranking_measures(ranking, graded)
    for ours, name in (
        ("mrr", "recip_rank"),
        ("recall_at_10", "recall_10"),
        ("ndcg_at_10", "ndcg_cut_10"),
    ):
        assert found[ours] == pytest.approx(np.mean([each[name] for each in theirs]))


def test_documents_that_are_not_found_count_as_missed():
    assert ranking_measures(ranked([[1, 2]]), [{7: 1}]) == {
        "mrr": 0.0,
        "recall_at_10": 0.0,
        "ndcg_at_10": 0.0,
    }


def test_queries_without_judgements_are_refused():
    with pytest.raises(ConfigurationError, match="relevant documents"):
        ranking_measures(ranked([[1, 2]]), [{}])
