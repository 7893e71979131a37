"""Resolvers agree with slow references, and copies of a bad source cost little under origin_beta."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from agentos.learning.knowledge.resolvers import RESOLVERS, Ballots
from agentos.learning.knowledge.resolvers.origin_beta import nearest_others
from protocols.seeding import generator


def ballots(copies: int, audit: int, seed: int = 0) -> tuple[Ballots, NDArray[np.int64]]:
    rng = generator(seed, "copies")
    truth = rng.integers(0, 3, 300)
    rows = []
    for accuracy in (0.7, 0.7, 0.7, 0.7, 0.7, 0.35):
        wrong = (truth + rng.integers(1, 3, 300)) % 3
        rows.append(np.where(rng.random(300) < accuracy, truth, wrong))
    rows += [rows[-1]] * copies
    origins = np.tile(np.arange(len(rows))[:, None], (1, 300))
    known = np.where(np.arange(300) < audit, truth, -1)
    return Ballots(np.eye(3)[np.stack(rows)], origins, np.arange(len(rows)) * 1.0, known), truth


def test_origin_beta_follows_its_formula_step_by_step() -> None:
    given, _ = ballots(copies=1, audit=40)
    resolver = RESOLVERS["origin_beta"].model_validate({"iterations": 1})
    found = resolver.resolve(given)
    chosen = given.shares_SNK.argmax(axis=2)
    trust = []
    for source in range(7):
        right = sum(chosen[source, i] == given.audit_N[i] for i in range(40))
        trust.append((right + 2) / (40 + 3))
    np.testing.assert_allclose(found.trust_S, trust)
    weight = [1.0] * 5 + [0.5] * 2  # the last two make the same errors
    begun = [[sum(chosen[:, i] == k) / 7 for k in range(3)] for i in range(300)]
    for i in range(40):
        begun[i] = [float(given.audit_N[i] == k) for k in range(3)]
    called = [[0.0 if k == other else 2.5 for other in range(3)] for k in range(3)]
    for source in range(7):
        for i in range(300):
            for k in range(3):
                if k != chosen[source, i]:
                    called[k][chosen[source, i]] += weight[source] * begun[i][k]
    for subject in range(40, 300):
        scores = [0.0, 0.0, 0.0]
        for source in range(7):
            stated = chosen[source, subject]
            for k in range(3):
                wrong = (1 - trust[source]) * called[k][stated] / sum(called[k])
                p = trust[source] if stated == k else wrong
                scores[k] += weight[source] * math.log(p)
        total = sum(math.exp(score) for score in scores)
        expected = [math.exp(score) / total for score in scores]
        np.testing.assert_allclose(found.shares_NK[subject], expected, atol=1e-9)


def placed(wrong: str, seed: int = 0) -> tuple[Ballots, NDArray[np.int64]]:
    """Ballots about points around three centres; a claim or two about each, a fifth of them wrong."""
    rng = generator(seed, "placed")
    truth = rng.integers(0, 3, 300)
    points = np.eye(3, 8)[truth] + 0.2 * rng.standard_normal((300, 8))
    shares = np.zeros((4, 300, 3))
    for source in range(4):
        shift = rng.integers(1, 3, 300) if wrong == "random" else 1
        label = np.where(rng.random(300) < 0.2, (truth + shift) % 3, truth)
        stated = rng.random(300) < 0.4
        shares[source, stated] = np.eye(3)[label[stated]]
    origins = np.arange(4 * 300).reshape(4, 300)
    audit = np.where(np.arange(300) < 20, truth, -1)
    return Ballots(shares, origins, np.zeros(4), audit, points.astype(np.float32)), truth


@pytest.mark.parametrize("wrong", ["random", "pairs"])
def test_neighbours_find_wrong_claims_that_no_other_source_contradicts(wrong: str) -> None:
    given, truth = placed(wrong)
    stated = given.shares_SNK.argmax(axis=2)
    lone = given.shares_SNK.sum(axis=(0, 2)) == 1  # about these, there is one claim
    bad = ((stated != truth) & (given.shares_SNK.sum(axis=2) > 0)).any(axis=0) & lone
    found = {}
    for neighbours in (0, 8):
        resolver = RESOLVERS["origin_beta"].model_validate({"neighbours": neighbours})
        label = resolver.resolve(given).shares_NK.argmax(axis=1)
        found[neighbours] = (label == truth)[bad].mean()
    assert bad.sum() > 10
    assert found[0] < 0.3 < 0.9 < found[8]


def test_neighbours_of_a_point_leave_it_out() -> None:
    points = generator(3, "nearest").standard_normal((30, 4)).astype(np.float32)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = nearest_others(points, 5)
    for row in range(30):
        others = sorted(set(range(30)) - {row}, key=lambda j: -float(units[row] @ units[j]))
        assert found[row].tolist() == others[:5]
    assert nearest_others(points[:3], 5).shape == (3, 2)


def test_dawid_skene_follows_both_steps_in_loops() -> None:
    given, _ = ballots(copies=0, audit=0)
    resolver = RESOLVERS["dawid_skene"].model_validate({"iterations": 2})
    chosen = given.shares_SNK.argmax(axis=2)
    posterior = [[sum(chosen[:, i] == k) / 6 for k in range(3)] for i in range(300)]
    for _ in range(2):
        counts = np.full((6, 3, 3), 0.1)
        for s in range(6):
            for i in range(300):
                for c in range(3):
                    counts[s, c, chosen[s, i]] += posterior[i][c]
        confusion = counts / counts.sum(axis=2, keepdims=True)
        prior = np.mean(posterior, axis=0)
        for i in range(300):
            row = [
                prior[c] * math.prod(confusion[s, c, chosen[s, i]] for s in range(6))
                for c in range(3)
            ]
            posterior[i] = [value / sum(row) for value in row]
    np.testing.assert_allclose(resolver.resolve(given).shares_NK, posterior, atol=1e-6)


def test_latest_and_majority_follow_their_definition() -> None:
    given, _ = ballots(copies=0, audit=0)
    chosen = given.shares_SNK.argmax(axis=2)
    latest = RESOLVERS["latest"].model_validate({}).resolve(given).shares_NK
    assert latest.argmax(axis=1).tolist() == chosen[-1].tolist()
    majority = RESOLVERS["majority"].model_validate({}).resolve(given).shares_NK
    slow = [[sum(chosen[:, i] == k) / 6 for k in range(3)] for i in range(300)]
    np.testing.assert_allclose(majority, slow)


def test_sources_of_one_origin_that_state_the_same_count_once() -> None:
    shares = np.eye(2)[np.array([[0], [0], [1], [1]])]
    origins = np.array([[7], [7], [7], [8]])
    given = Ballots(shares, origins, np.zeros(4), np.array([-1]))
    assert given.distinct()[:, 0].tolist() == [0.5, 0.5, 1.0, 1.0]
