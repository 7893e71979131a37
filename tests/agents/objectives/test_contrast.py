"""The contrastive losses against loops over rows in float64, and central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.objectives import functional

B, N, D = 4, 7, 3


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 2.0


def cosine(a, b) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def slow_contrast(positive: float, negatives: list[float], hardness: float) -> float:
    """As in the authors' code: importance weights of mean one, then the usual loss."""
    importance = [math.exp(hardness * score) for score in negatives]
    mean = sum(importance) / len(importance) if importance else 1.0
    z = sum(w / mean * math.exp(s) for w, s in zip(importance, negatives, strict=True))
    return -math.log(math.exp(positive) / (math.exp(positive) + z))


def slow_one_way(queries, keys, temperature, hardness=0.0, excluded=None, others=None) -> float:
    total = 0.0
    for i, query in enumerate(queries):
        scores = [cosine(query, key) / temperature for key in keys]
        scores += [] if others is None else [value / temperature for value in others[i]]
        kept = [
            score
            for j, score in enumerate(scores)
            if j != i and not (excluded is not None and excluded[i, j])
        ]
        total += slow_contrast(scores[i], kept, hardness)
    return total / len(queries)


def slow_nt_xent(first, second, temperature, hardness=0.0, margin=None) -> float:
    views, total = [*first, *second], 0.0
    for i, view in enumerate(views):
        j = (i + len(first)) % len(views)
        positive = cosine(view, views[j])
        negatives = [cosine(view, views[k]) for k in range(len(views)) if k not in (i, j)]
        if margin is not None:
            negatives = [value for value in negatives if not value > positive - margin]
        scores = [value / temperature for value in negatives]
        total += slow_contrast(positive / temperature, scores, hardness)
    return total / len(views)


@pytest.mark.parametrize("hardness", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_one_way_equals_the_loop_over_queries_with_more_keys_than_queries(
    check, hardness, temperature
):
    check(
        lambda q, k: functional.one_way(q, k, temperature, hardness=hardness),
        lambda q, k: slow_one_way(q, k, temperature, hardness),
        rows(B, D),
        rows(N, D, seed=1),
    )


@pytest.mark.parametrize("hardness", [0.0, 2.0])
def test_one_way_leaves_out_what_is_excluded_and_adds_scores_from_elsewhere(check, hardness):
    excluded = np.random.default_rng(5).random((B, N + 2)) < 0.5
    excluded[:, :B] &= ~np.eye(B, dtype=bool)
    excluded[1] = True
    excluded[1, 1] = False  # a query without any negative: its loss is 0
    check(
        lambda q, k, o: functional.one_way(
            q,
            k,
            0.5,
            others_BM=o,
            excluded_BN=torch.tensor(excluded),
            hardness=hardness,
        ),
        lambda q, k, o: slow_one_way(q, k, 0.5, hardness, excluded, o),
        rows(B, D),
        rows(N, D, seed=1),
        rows(B, 2, seed=2) / 4,
    )


@pytest.mark.parametrize("margin", [None, 0.0, 0.2])
@pytest.mark.parametrize("hardness", [0.0, 1.0])
def test_nt_xent_equals_the_loop_over_all_views(check, margin, hardness):
    def guided(a, b):
        views, positives = torch.cat([a, b]), torch.arange(2 * len(a)).roll(len(a))
        excluded = None
        if margin is not None:
            cosines = functional.cosines(views, views)
            excluded = functional.false_negatives(cosines, positives, margin)
        return functional.nt_xent(a, b, 0.3, excluded_VV=excluded, hardness=hardness)

    check(
        guided,
        lambda a, b: slow_nt_xent(a, b, 0.3, hardness, margin),
        rows(B, D),
        rows(B, D, seed=1),
    )


def test_nt_xent_of_orthogonal_documents_has_a_closed_form():
    # Cosine 1 to the positive, 0 to the six views of the other three: log(e^2 + 6) - 2.
    eye = torch.eye(4, dtype=torch.float64)
    expected = math.log(math.exp(2.0) + 6.0) - 2.0
    assert functional.nt_xent(eye, 3.0 * eye, 0.5).item() == pytest.approx(expected, rel=1e-12)


def test_a_single_pair_has_no_negatives_and_nothing_to_learn():
    for hardness in (0.0, 2.0):
        for loss in (functional.one_way, functional.nt_xent):
            first = torch.randn(1, 4, requires_grad=True)
            value = loss(first, torch.randn(1, 4), 0.1, hardness=hardness)
            value.backward()
            assert value.item() == pytest.approx(0.0, abs=1e-6)
            assert first.grad.abs().max() < 1e-6


@pytest.mark.parametrize("excluded", [None, torch.eye(6, dtype=torch.bool).roll(1, 0)])
def test_vanishing_hardness_is_the_plain_loss(excluded):
    queries, keys = torch.tensor(rows(6, D)), torch.tensor(rows(6, D, seed=1))
    plain = functional.one_way(queries, keys, 0.1, excluded_BN=excluded)
    barely = functional.one_way(queries, keys, 0.1, excluded_BN=excluded, hardness=1e-9)
    torch.testing.assert_close(barely, plain)


def test_hardness_puts_more_of_the_gradient_on_the_hardest_negative():
    shares = []
    for hardness in (0.0, 1.0, 4.0):
        scores = torch.tensor([[2.0, 1.5, 0.5, -1.0]], requires_grad=True)
        functional.contrast(scores, torch.tensor([0]), hardness=hardness).backward()
        shares.append((scores.grad[0, 1] / scores.grad[0, 1:].abs().sum()).item())
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("hardness", [0.0, 1.0, 100.0])
def test_losses_stay_finite_at_the_smallest_temperature(hardness):
    first = torch.randn(5, 4, requires_grad=True)
    value = functional.one_way(first, -first.detach(), 1e-4, hardness=hardness)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(first.grad).all()


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.3])
def test_false_negatives_are_those_above_the_positive_less_the_margin(margin):
    cosines = torch.tensor(rows(B, N) / 4)
    positives = torch.tensor([3, 0, 6, 2])
    found = functional.false_negatives(cosines, positives, margin)
    for i, positive in enumerate(positives.tolist()):
        for j in range(N):
            expected = j != positive and cosines[i, j] > cosines[i, positive] - margin
            assert bool(found[i, j]) == bool(expected)


def test_cosines_keep_float32_under_autocast_and_float64_outside():
    first, second = torch.randn(5, 16), torch.randn(6, 16)
    exact = functional.cosines(first, second)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(functional.cosines(first, second), exact, rtol=0, atol=0)
        assert functional.cosines(first.bfloat16(), second).dtype == torch.float32
    assert functional.cosines(first.double(), second.double()).dtype == torch.float64
    torch.testing.assert_close(
        exact, torch.nn.functional.cosine_similarity(first.unsqueeze(1), second, dim=-1)
    )


def test_the_temperature_may_be_a_tensor_that_learns(check):
    check(
        lambda a, b, t: functional.info_nce(a, b, t.squeeze()),
        lambda a, b, t: (slow_one_way(a, b, float(t[0])) + slow_one_way(b, a, float(t[0]))) / 2,
        rows(B, D),
        rows(B, D, seed=1),
        np.array([0.4]),
    )
