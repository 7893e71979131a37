"""Every resolver returns distributions, ignores silent sources, and finds truth that most sources see."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.knowledge.resolvers import RESOLVERS, Ballots
from protocols.seeding import generator


def ballots(accuracies: list[float], copies: int = 0, audit: int = 0, silent: float = 0.0):
    rng = generator(4, "resolvers", copies)
    truth = rng.integers(0, 4, 400)
    rows = []
    for accuracy in accuracies:
        wrong = (truth + rng.integers(1, 4, 400)) % 4
        rows.append(np.where(rng.random(400) < accuracy, truth, wrong))
    rows += [rows[-1]] * copies
    shares = np.eye(4)[np.stack(rows)]
    shares[rng.random(shares.shape[:2]) < silent] = 0.0
    origins = np.tile(np.arange(len(rows))[:, None], (1, 400))
    known = np.where(np.arange(400) < audit, truth, -1)
    return Ballots(shares, origins, np.arange(len(rows), dtype=float), known), truth


@pytest.mark.parametrize("kind", RESOLVERS)
def test_shares_are_distributions_and_trust_is_finite(kind: str) -> None:
    given, _ = ballots([0.7] * 5, silent=0.4, audit=30)
    found = RESOLVERS[kind].model_validate({}).resolve(given)
    np.testing.assert_allclose(found.shares_NK.sum(axis=1), 1)
    assert found.shares_NK.min() >= 0
    assert np.isfinite(found.trust_S).all()


@pytest.mark.parametrize("kind", RESOLVERS)
def test_resolution_is_reproducible_and_leaves_ballots_alone(kind: str) -> None:
    given, _ = ballots([0.7] * 4, audit=20)
    before = given.shares_SNK.copy()
    resolver = RESOLVERS[kind].model_validate({})
    first, second = resolver.resolve(given), resolver.resolve(given)
    assert first.shares_NK.tobytes() == second.shares_NK.tobytes()
    assert given.shares_SNK.tobytes() == before.tobytes()


@pytest.mark.parametrize("kind", sorted(set(RESOLVERS) - {"latest"}))
def test_five_independent_sources_beat_the_best_of_them(kind: str) -> None:
    given, truth = ballots([0.7] * 5)
    found = RESOLVERS[kind].model_validate({}).resolve(given).shares_NK.argmax(axis=1)
    assert (found == truth).mean() > 0.85
