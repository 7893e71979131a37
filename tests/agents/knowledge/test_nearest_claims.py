"""Answers by the nearest claims agree with loops, and their weight is the most likely one."""

from __future__ import annotations

import math

import numpy as np

from agents.knowledge.claims import Claim
from agents.knowledge.nearest_claims import best_weight, label_shares, neighbour_shares, votes_of
from protocols.seeding import generator


def test_answers_are_the_weighted_labels_of_the_nearest_claims() -> None:
    rng = generator(0, "nearest claims")
    points = rng.standard_normal((7, 4)).astype(np.float32)
    claims = rng.standard_normal((9, 4)).astype(np.float32)
    shares = rng.dirichlet(np.ones(3), 9)
    votes = rng.integers(1, 4, 9).astype(float)
    found = neighbour_shares(points, claims, shares, k=4, temperature=0.1, votes_C=votes)
    for row, point in enumerate(points):
        cosines = [
            float(point @ each / np.linalg.norm(point) / np.linalg.norm(each)) for each in claims
        ]
        nearest = sorted(range(9), key=lambda i: -cosines[i])[:4]
        weights = {i: votes[i] * math.exp(cosines[i] / 0.1) for i in nearest}
        slow = sum(weights[i] * shares[i] for i in nearest) / sum(weights.values())
        np.testing.assert_allclose(found[row], slow, atol=1e-5)


def test_nothing_known_makes_every_label_as_probable() -> None:
    none = np.zeros((0, 4), np.float32)
    found = neighbour_shares(np.ones((2, 4), np.float32), none, np.zeros((0, 3)), 5, 0.1)
    np.testing.assert_allclose(found, 1 / 3)
    unknown = neighbour_shares(
        np.ones((1, 4), np.float32), np.ones((1, 4), np.float32), np.zeros((1, 2)), 5, 0.1
    )
    np.testing.assert_allclose(unknown, 0.5)  # a claim whose label is not among the names


def test_shares_of_labels_follow_the_counts() -> None:
    claim = Claim(
        kind="prototype",
        embedding=np.ones(2, np.float32),
        frame="0" * 32,
        labels=(("red", 3.0), ("white", 1.0)),
        sources=("s",),
        origins=("1" * 32,),
    )
    found = label_shares([claim], ["red", "rose", "white"])
    np.testing.assert_allclose(found, [[0.75, 0.0, 0.25]])


def test_joined_claims_speak_for_their_texts_and_prototypes_for_one() -> None:
    def claim(kind: str, texts: float) -> Claim:
        return Claim.model_validate(
            {
                "kind": kind,
                "embedding": np.ones(2, np.float32),
                "frame": "0" * 32,
                "labels": (("red", texts),),
                "sources": ("s",),
                "origins": ("1" * 32,),
            }
        )

    claims = [claim("exemplar", 3.0), claim("exemplar", 40.0), claim("prototype", 40.0)]
    assert votes_of(claims, 16).tolist() == [3.0, 16.0, 1.0]


def test_rare_labels_count_as_much_as_common_ones() -> None:
    head = np.array([[0.9, 0.1]] * 9 + [[0.9, 0.1]])
    claimed = np.array([[0.6, 0.4]] * 9 + [[0.1, 0.9]])
    truth = np.array([0] * 9 + [1])
    assert best_weight(head, claimed, truth) > best_weight(head[:9], claimed[:9], truth[:9]) == 0.0
    pairs = best_weight(head[8:], claimed[8:], truth[8:])
    assert best_weight(head, claimed, truth) == pairs


def test_weight_is_that_of_the_better_answers() -> None:
    good, poor = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.4, 0.6], [0.6, 0.4]])
    truth = np.array([0, 1])
    assert best_weight(poor, good, truth) == 1.0
    assert best_weight(good, poor, truth) == 0.0
    assert best_weight(good, good, truth) == 0.0  # of equal ones, the smallest
    assert best_weight(good, poor, truth[:0]) == 0.0
    mixed = best_weight(np.array([[0.9, 0.1]] * 2), np.array([[0.9, 0.1], [0.1, 0.9]]), truth)
    slow = max(
        (round(w / 20, 2) for w in range(21)),
        key=lambda w: math.log(0.9) + math.log(0.1 * (1 - w) + 0.9 * w),
    )
    assert mixed == slow
