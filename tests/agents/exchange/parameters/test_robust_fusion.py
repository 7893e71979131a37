"""Rules that make one vector of several, against slow ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters import robust_fusion as parameter_fusion
from agents.exchange.parameters.robust_fusion import (
    PARAMETER_FUSIONS,
    Krum,
    Mean,
    Median,
    TrimmedMean,
)

SIZE = 50
WEIGHTS = [1.0, 5.0, 2.0, 2.0, 4.0, 1.0, 3.0]
ROBUST = [Median(), TrimmedMean(share=0.3), Krum(byzantine=2)]
by_kind = pytest.mark.parametrize("fusion", ROBUST, ids=lambda fusion: fusion.kind)


@pytest.fixture(params=[16, 2**20], ids=["four blocks", "one block"], autouse=True)
def block(request, monkeypatch):
    monkeypatch.setattr(parameter_fusion, "STACKED", 5 * request.param)


def drawn(count: int = 7) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=SIZE).astype(np.float32) for _ in range(count)]


def fuse(fusion, vectors: list[np.ndarray]) -> np.ndarray:
    """Fuse as an agent does: its own is a tensor, those of others are read-only arrays."""
    for vector in vectors:
        vector.setflags(write=False)
    own = torch.from_numpy(vectors[0].copy())
    fused = fusion.fuse([own, *vectors[1:]], WEIGHTS[: len(vectors)])
    assert fused.data_ptr() != own.data_ptr()
    return fused.numpy()


def test_mean_is_weighted():
    expected = np.average(np.stack(drawn()).astype(np.float64), axis=0, weights=WEIGHTS)
    np.testing.assert_allclose(fuse(Mean(), drawn()), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", [3, 4, 7])
def test_median_is_that_of_every_coordinate(count):
    expected = np.median(np.stack(drawn(count)).astype(np.float64), axis=0)
    np.testing.assert_allclose(fuse(Median(), drawn(count)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("share", "cut"), [(0.15, 1), (0.29, 2), (0.45, 3)])
def test_trimmed_mean_leaves_out_both_ends_of_every_coordinate(share, cut):
    rows = np.stack(drawn()).astype(np.float64)
    expected = [np.mean(sorted(column)[cut : 7 - cut]) for column in rows.T]
    np.testing.assert_allclose(fuse(TrimmedMean(share=share), drawn()), expected, rtol=1e-5)


@pytest.mark.parametrize("byzantine", [1, 2])
def test_krum_chooses_the_vector_with_the_closest_company(byzantine):
    rows = np.stack(drawn()).astype(np.float64)
    scores = []
    for i in range(7):
        apart = sorted(((rows[i] - rows[j]) ** 2).sum() for j in range(7) if j != i)
        scores.append(sum(apart[: 7 - byzantine - 2]))
    chosen = fuse(Krum(byzantine=byzantine), drawn())
    np.testing.assert_array_equal(chosen, drawn()[int(np.argmin(scores))])


@by_kind
def test_order_of_the_vectors_changes_nothing(fusion):
    np.testing.assert_array_equal(fuse(fusion, drawn()), fuse(fusion, drawn()[::-1]))


POISONS = {
    "huge": lambda vector: vector * 1e6,
    "largest there is": lambda vector: np.copysign(np.float32(3e38), vector),
    "random": lambda vector: np.random.default_rng(9).normal(0, 100, SIZE).astype(np.float32),
}


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("count", [1, 2])
@by_kind
def test_poisoned_vectors_do_not_count(fusion, count, poison):
    """The result lies within what honest agents sent, coordinate by coordinate."""
    honest = drawn()[: 7 - count]
    bad = [POISONS[poison](vector) for vector in drawn()[7 - count :]]
    fused = fuse(fusion, [*honest, *bad])
    assert (fused >= np.min(honest, axis=0)).all()
    assert (fused <= np.max(honest, axis=0)).all()


def test_one_poisoned_vector_takes_the_mean_anywhere():
    vectors = drawn()
    vectors[3] = vectors[3] * np.float32(1e6)
    assert np.abs(fuse(Mean(), vectors)).max() > 1e4


@pytest.mark.parametrize(
    ("fusion", "fewest"),
    [
        (Mean(), 1),
        (Median(), 3),
        (TrimmedMean(share=0.4), 3),
        (TrimmedMean(share=0.2), 5),
        (TrimmedMean(share=0.01), 100),
        (Krum(), 5),
        (Krum(byzantine=3), 9),
    ],
)
def test_fewest_vectors_are_those_that_the_promise_takes(fusion, fewest):
    assert fusion.fewest == fewest


def test_kind_is_the_key_in_the_table():
    assert {kind: cls().kind for kind, cls in PARAMETER_FUSIONS.items()} == {
        kind: kind for kind in PARAMETER_FUSIONS
    }
