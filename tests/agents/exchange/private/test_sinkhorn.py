"""Balanced clusters on the unit sphere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.private.sinkhorn import cluster, sinkhorn


def slow_sinkhorn(cosines, epsilon, steps, weights=None) -> np.ndarray:
    """Scale columns and rows of ``exp(cosines / epsilon)`` in turn."""
    plan = np.exp(np.asarray(cosines, dtype=np.float64) / epsilon)
    weights = np.ones(len(plan)) if weights is None else np.asarray(weights, dtype=np.float64)
    plan = plan * weights[:, None] / weights.sum()
    for _ in range(steps):
        plan = plan / plan.sum(axis=0, keepdims=True) / plan.shape[1]
        plan = plan * (weights / weights.sum() / plan.sum(axis=1))[:, None]
    return plan / plan.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5, 3.0, 1.0, 1.5)])
def test_sinkhorn_equals_scaling_columns_and_rows_in_turn(draw, weights):
    cosines = torch.tanh(draw(6, 3))
    given = None if weights is None else torch.tensor(weights)
    for steps in (1, 3):
        found = sinkhorn(cosines, 0.2, steps, given)
        expected = slow_sinkhorn(cosines.numpy(), 0.2, steps, weights)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_sinkhorn_fills_all_clusters_with_the_same_weight(draw):
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1)).double() + 0.1
    shares = sinkhorn(torch.tanh(draw(9, 4)).double(), 0.3, 500, weights)
    np.testing.assert_allclose((weights[:, None] * shares).sum(dim=0), weights.sum() / 4)
    np.testing.assert_allclose(shares.sum(dim=1), 1.0)


def test_sinkhorn_survives_hard_assignments():
    shares = sinkhorn(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), 0.01, 3)
    assert torch.allclose(shares, torch.eye(2))


def test_clusters_are_the_means_of_separate_clouds(draw):
    means = torch.eye(6)[:3]
    points = (means.repeat_interleave(8, dim=0) + 0.05 * draw(24, 6)) * 7.0
    weights = torch.ones(24)
    centres, counts = cluster(points, weights, 3, 0.02, np.random.default_rng(0))
    unit = torch.nn.functional.normalize(points, dim=-1)
    expected = torch.nn.functional.normalize(unit.view(3, 8, 6).mean(dim=1), dim=-1)
    order = (centres @ means.T).argmax(dim=1).argsort()
    torch.testing.assert_close(centres[order], expected, rtol=1e-3, atol=1e-3)
    assert counts.tolist() == [8.0, 8.0, 8.0]


def test_point_of_weight_n_counts_as_n_points(draw):
    points, times = draw(12, 4), torch.tensor([1, 3, 2, 1, 1, 5, 1, 2, 1, 1, 4, 1])
    once = cluster(points, times.float(), 3, 0.05, np.random.default_rng(2))
    repeated = points.repeat_interleave(times, dim=0)
    many = cluster(repeated, torch.ones(len(repeated)), 3, 0.05, np.random.default_rng(2))
    torch.testing.assert_close(once, many)


def test_points_of_weight_0_are_left_out(draw):
    points, weights = draw(12, 4), torch.ones(12)
    weights[[0, 5]] = 0.0
    kept = weights > 0
    full = cluster(points, weights, 3, 0.05, np.random.default_rng(0))
    part = cluster(points[kept], weights[kept], 3, 0.05, np.random.default_rng(0))
    assert torch.equal(full[0], part[0])
    assert full[1].sum() == 10.0


def test_few_points_are_their_own_clusters_and_the_rest_is_empty(draw):
    points = torch.nn.functional.normalize(draw(3, 4), dim=-1)
    centres, counts = cluster(points, torch.tensor([2.0, 0.0, 5.0]), 4, 0.05, None)
    torch.testing.assert_close(centres[:2], points[[0, 2]])
    assert counts.tolist() == [2.0, 5.0, 0.0, 0.0]


def test_clusters_are_found_among_equal_points():
    points = torch.ones(5, 3)
    centres, counts = cluster(points, torch.ones(5), 2, 0.05, np.random.default_rng(0))
    assert torch.isfinite(centres).all()
    assert counts.sum() == 5.0
