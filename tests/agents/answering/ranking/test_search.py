"""Spread searches against a central one and against plain loops; fused ranks against the paper's formula."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from agents.answering.ranking import Ranking, fuse_ranks, merge, search
from agents.answering.ranking.search import cosines, unit_rows
from protocols.errors import ConfigurationError
from protocols.messages import RankedAnswer

A, B, C = "a" * 16, "b" * 16, "c" * 16
RNG = np.random.default_rng(0)
IDS = np.array([9, 4, 7])
CORPUS = RNG.standard_normal((40, 24)).astype(np.float32)
CORPUS[30:] = CORPUS[:10]  # ties, in different shards
QUERIES = RNG.standard_normal((3, 24)).astype(np.float32)
QUERIES[0] = CORPUS[3]
NUMBERS = RNG.permutation(1000)[:40].astype(np.int64)


def shards(cuts):
    order = np.random.default_rng(1).permutation(40)
    return [np.sort(part) for part in np.split(order, cuts)]


def spread(parts, limit, origin=A):
    return [search(IDS, QUERIES, NUMBERS[part], CORPUS[part], limit, origin) for part in parts]


def same(left: Ranking, right: Ranking) -> bool:
    return all(
        getattr(left, name).tobytes() == getattr(right, name).tobytes()
        for name in ("ids", "candidates", "scores")
    )


def test_search_finds_what_a_plain_sort_finds():
    found = search(IDS, QUERIES, NUMBERS, CORPUS, 12, A)
    for row, query in enumerate(QUERIES.astype(np.float64)):
        cosine = {
            int(n): np.float32(query @ d / np.sqrt((query @ query) * (d @ d)))
            for n, d in zip(NUMBERS, CORPUS.astype(np.float64), strict=True)
        }
        slow = sorted(cosine, key=lambda n: (-cosine[n].round(5), n))[:12]
        assert found.candidates[row].tolist() == slow
        assert found.scores[row] == pytest.approx([cosine[n] for n in slow], abs=1e-6)
    assert found.candidates[0, :2].tolist() == sorted([NUMBERS[3], NUMBERS[33]])  # a tie


@pytest.mark.parametrize("limit", [1, 5, 12, 40, 99])
@pytest.mark.parametrize("cuts", [[20], [1, 2, 30], [7, 7 + 13, 39], list(range(1, 40))])
def test_merged_shards_are_the_central_search_to_the_bit(cuts, limit):
    central = search(IDS, QUERIES, NUMBERS, CORPUS, limit, A)
    found = spread(shards(cuts), limit)
    assert same(merge(found, limit), central)
    assert same(merge(found[::-1], limit), central)
    assert same(fuse_ranks(found, limit), central)  # one encoder: nothing to fuse by rank


def test_documents_that_two_agents_hold_count_once():
    central = search(IDS, QUERIES, NUMBERS, CORPUS, 10, A)
    overlapping = [np.arange(25), np.arange(15, 40), np.arange(5, 30)]
    assert same(merge(spread(overlapping, 10), 10), central)


def test_cosines_do_not_depend_on_the_other_rows():
    units = unit_rows(CORPUS)
    whole = cosines(unit_rows(QUERIES), units)
    for row in range(3):
        for column in range(40):
            alone = cosines(unit_rows(QUERIES[row : row + 1]), units[column : column + 1])
            assert alone[0, 0] == whole[row, column]


def test_a_ranking_passes_the_wire_and_is_sorted_on_receipt():
    found = search(IDS, QUERIES, NUMBERS, CORPUS, 5, A)
    payload = found.payload("find", attempt=0, flops=1.0, seconds=0.1)
    payload.check_values()
    assert same(Ranking.received(payload), found)
    turned = RankedAnswer(
        **{
            **{name: getattr(payload, name) for name in type(payload).model_fields},
            "candidates": payload.candidates[:, ::-1].copy(),
            "scores": payload.scores[:, ::-1].copy(),
        }
    )
    assert same(Ranking.received(turned), found)


def test_scores_of_unlike_encoders_are_not_merged():
    parts = shards([20])
    with pytest.raises(ConfigurationError, match="cannot be compared") as caught:
        merge([*spread(parts[:1], 5), *spread(parts[1:], 5, origin=B)], 5)
    assert "fuse_ranks" in str(caught.value.hint)


def unlike(seed: int, origin: str, limit: int = 15) -> Ranking:
    turned = CORPUS + np.random.default_rng(seed).standard_normal(CORPUS.shape).astype(np.float32)
    return search(IDS, QUERIES, NUMBERS, turned, limit, origin)


def test_fused_ranks_are_the_sums_of_reciprocals():
    rankings = [unlike(1, A), unlike(2, B), unlike(3, C)]
    found = fuse_ranks(rankings, 10)
    for row in range(3):
        sums: dict[int, Fraction] = {}
        for each in rankings:
            for rank, document in enumerate(each.candidates[row].tolist()):
                sums[document] = sums.get(document, Fraction(0)) + Fraction(1, 61 + rank)
        slow = sorted(sums, key=lambda document: (-sums[document], document))[:10]
        assert found.candidates[row].tolist() == slow
        assert found.scores[row] == pytest.approx([float(sums[each]) for each in slow])
    assert found.origins == (A, B, C)


def test_order_and_copies_of_agents_change_no_fused_rank():
    rankings = [unlike(1, A), unlike(2, B), unlike(3, C)]
    found = fuse_ranks(rankings, 10)
    assert same(fuse_ranks(rankings[::-1], 10), found)
    assert same(fuse_ranks([*rankings, rankings[2], rankings[2]], 10), found)


def test_rankings_that_share_some_weights_are_refused():
    fused = fuse_ranks([unlike(1, A), unlike(2, B)], 10)
    with pytest.raises(ConfigurationError, match="count twice"):
        fuse_ranks([fused, unlike(1, A)], 10)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ConfigurationError, match="fit together"):
        search(IDS, QUERIES[:, :5], NUMBERS, CORPUS, 5, A)
    with pytest.raises(ConfigurationError, match="fit together"):
        search(IDS, QUERIES, NUMBERS[:0], CORPUS[:0], 5, A)
    with pytest.raises(ConfigurationError, match="different documents"):
        search(IDS, QUERIES, NUMBERS * 0, CORPUS, 5, A)
    with pytest.raises(ConfigurationError, match="different queries"):
        merge([], 5)
