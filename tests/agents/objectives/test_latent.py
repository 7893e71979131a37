"""Divergence, free bits and active units against torch.distributions and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from agents.objectives import VAE
from agents.objectives.latent import active_units, free_bits, gaussian_kl


def draws(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def test_gaussian_kl_and_its_gradient_equal_those_of_torch_distributions():
    ours, theirs = ([draws(5, 3), draws(5, 3, seed=1)] for _ in range(2))
    actual = gaussian_kl(*ours)
    mean, log_variance = theirs
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(actual, expected)
    actual.sum().backward()
    expected.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_gaussian_kl_is_zero_at_the_prior_and_half_a_square_where_only_the_mean_differs():
    zeros = torch.zeros(1, 1)
    assert gaussian_kl(zeros, zeros).item() == 0.0
    assert gaussian_kl(zeros + 3.0, zeros).item() == 4.5


def test_free_bits_are_granted_to_each_dimension_over_the_mean_of_the_texts():
    # Means 0.2, 1.5 and 0.5 at 0.5 free: 0.5 + 1.5 + 0.5.
    kl = torch.tensor([[0.1, 1.0, 0.9], [0.3, 2.0, 0.1]], requires_grad=True)
    loss = free_bits(kl, 0.5)
    assert loss.item() == pytest.approx(2.5)
    assert free_bits(kl, 0.0).item() == pytest.approx(2.2)
    (gradient,) = torch.autograd.grad(free_bits(kl, 0.45), kl)
    assert gradient.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]


def test_active_units_are_counted_by_the_variance_of_their_means():
    # Two texts at +-a have variance a^2: 0.0081 and 0.0121 about the threshold of 0.01.
    means = torch.tensor([[0.09, 0.11, 5.0, 1.0], [-0.09, -0.11, 5.0, -1.0]])
    assert active_units(means).item() == 2
    assert active_units(means[:1]).item() == 0


def test_weight_of_the_divergence_rises_in_a_line_and_stays():
    assert [VAE(anneal_steps=5).annealed(i) for i in (0, 1, 5, 50)] == [0.0, 0.2, 1.0, 1.0]
    assert VAE(anneal_steps=0).annealed(0) == 1.0
    assert math.isclose(VAE(anneal_steps=3).annealed(2), 2 / 3)
