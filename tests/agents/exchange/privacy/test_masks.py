"""Masks that cancel in a sum, and hide each part of it."""

from __future__ import annotations

import numpy as np
from scipy.stats import chisquare

from agents.exchange.privacy.masks import (
    fixed_point,
    from_fixed_point,
    leftover,
    masked,
    pair_seed,
)

AGENTS = (1, 2, 5, 9)


def seeds_of(own: int, others=AGENTS) -> dict[int, bytes]:
    return {other: pair_seed(0, own, other, 3) for other in others if other != own}


def vectors(size: int) -> dict[int, np.ndarray]:
    return {agent: np.random.default_rng(agent).normal(size=size) * 100 for agent in AGENTS}


def test_masks_cancel_in_the_sum_of_all():
    parts = vectors(50)
    sent = [masked(fixed_point(v), agent, seeds_of(agent)) for agent, v in parts.items()]
    found = from_fixed_point(np.sum(sent, axis=0, dtype=np.uint64))
    assert np.abs(found - sum(parts.values())).max() <= len(AGENTS) * 2.0**-25


def test_revealed_seeds_of_those_that_dropped_out_free_the_sum_of_the_rest():
    parts, dropped = vectors(50), (2, 9)
    stayed = [agent for agent in AGENTS if agent not in dropped]
    sent = [masked(fixed_point(parts[agent]), agent, seeds_of(agent)) for agent in stayed]
    total = np.sum(sent, axis=0, dtype=np.uint64)
    for agent in stayed:
        total = total - leftover(agent, seeds_of(agent, dropped), 50)
    expected = sum(parts[agent] for agent in stayed)
    assert np.abs(from_fixed_point(total) - expected).max() <= len(stayed) * 2.0**-25


def test_one_message_alone_is_uniform_whatever_it_hides():
    for hidden in (np.zeros(64_000), np.full(64_000, 1e4)):
        sent = masked(fixed_point(hidden), 1, seeds_of(1, (1, 2)))
        for shift in (58, 24, 0):  # the highest bits, those of the numbers, and the lowest
            counts = np.bincount((sent >> np.uint64(shift)).astype(np.int64) & 63, minlength=64)
            assert chisquare(counts).pvalue > 1e-4


def test_pairs_share_a_seed_of_their_own_in_every_round():
    assert pair_seed(0, 1, 2, 3) == pair_seed(0, 2, 1, 3)
    others = {pair_seed(0, 1, 2, 4), pair_seed(0, 1, 3, 3), pair_seed(1, 1, 2, 3)}
    assert len(others | {pair_seed(0, 1, 2, 3)}) == 4
