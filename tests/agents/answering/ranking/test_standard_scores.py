"""Standard scores against sums that are written out."""

from __future__ import annotations

import numpy as np
import pytest

from agents.answering.ranking import Ranking, fuse_scores, search, standardised

RNG = np.random.default_rng(0)
QUERIES, SHARD = RNG.normal(size=(4, 5)), RNG.normal(size=(9, 5))
IDS = np.arange(4)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_scores_count_in_deviations_from_the_mean_over_the_shard() -> None:
    found = search(IDS, QUERIES, np.arange(9), SHARD, 3, "a" * 16)
    standard = standardised(found, QUERIES, SHARD)
    assert np.array_equal(standard.candidates, found.candidates)
    for row, query in enumerate(QUERIES):
        values = [cosine(query, document) for document in SHARD]
        mean = sum(values) / 9
        deviation = (sum((value - mean) ** 2 for value in values) / 9) ** 0.5
        for place, document in enumerate(standard.candidates[row]):
            expected = (values[document] - mean) / deviation
            assert standard.scores[row, place] == pytest.approx(expected, rel=1e-5)


def test_shard_of_copies_stands_out_in_nothing() -> None:
    shard = np.tile(SHARD[:1], (4, 1))
    found = search(IDS, QUERIES, np.arange(4), shard, 2, "a" * 16)
    assert (standardised(found, QUERIES, shard).scores == 0).all()


def test_document_counts_with_its_highest_score() -> None:
    def ranking(candidates: list[int], scores: list[float], origin: str) -> Ranking:
        ids, numbers = np.zeros(1, np.int64), np.array([candidates])
        return Ranking(ids, numbers, np.array([scores], np.float32), (origin * 16,))

    one, other = ranking([3, 1], [2.0, 1.0], "a"), ranking([1, 2], [1.5, 0.5], "b")
    fused = fuse_scores([one, other], 3)
    assert fused.candidates.tolist() == [[3, 1, 2]]
    assert fused.scores.tolist() == [[2.0, 1.5, 0.5]]
    assert fused.origins == ("a" * 16, "b" * 16)
    again = fuse_scores([other, one], 3)
    assert np.array_equal(again.candidates, fused.candidates)
