"""Values of claims agree with the definition of Shapley, confidence with a loop, and two origins retract."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from agentos.learning.knowledge.correction import (
    harmful,
    knn_shapley,
    named,
    objections,
    out_of_fold_confidence,
)
from agentos.learning.knowledge.storage.changes import Added
from agentos.learning.knowledge.storage.knowledge_state import advance, fold
from agents.knowledge.candidate_classes import CANDIDATE
from agents.knowledge.claims import Claim
from protocols.seeding import generator


def accuracy(chosen: list[int], cosines: np.ndarray, right: np.ndarray, k: int) -> float:
    nearest = sorted(chosen, key=lambda i: -cosines[i])[:k]
    return sum(right[i] for i in nearest) / k


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_shapley_values_are_means_over_all_orders_of_arrival(k: int) -> None:
    rng = generator(2, "shapley")
    points = rng.standard_normal((6, 3)).astype(np.float32)
    tests = rng.standard_normal((3, 3)).astype(np.float32)
    labels, truth = rng.integers(0, 2, 6), rng.integers(0, 2, 3)
    slow = np.zeros(6)
    for test, label in zip(tests, truth, strict=True):
        cosines = points @ test / np.linalg.norm(points, axis=1)
        right = (labels == label).astype(float)
        for order in permutations(range(6)):
            for place, member in enumerate(order):
                gained = accuracy(list(order[: place + 1]), cosines, right, k)
                slow[member] += gained - accuracy(list(order[:place]), cosines, right, k)
    found = knn_shapley(points, labels, tests, truth, k)
    np.testing.assert_allclose(found, slow / 720 / 3, atol=1e-9)


def test_confidence_leaves_each_claim_out() -> None:
    rng = generator(5, "confidence")
    points = rng.standard_normal((20, 4)).astype(np.float32)
    labels = rng.integers(0, 3, 20)
    found = out_of_fold_confidence(points, labels, 3, k=5)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    for row in range(20):
        cosines = {j: float(units[row] @ units[j]) for j in range(20) if j != row}
        slow = np.zeros(3)
        for j in sorted(cosines, key=lambda j: -cosines[j])[:5]:
            slow[labels[j]] += max(cosines[j], 1e-6)
        np.testing.assert_allclose(found[row], slow / slow.sum(), atol=1e-5)


def held() -> Claim:
    return Claim(
        kind="label",
        embedding=np.ones(2, np.float32),
        frame="0" * 32,
        labels=(("a", 1.0),),
        sources=("s",),
        origins=("0" * 32,),
        status="accepted",
    )


def test_one_origin_disputes_and_a_second_retracts() -> None:
    state, name = fold([Added(claim=held())]), held().digest
    statuses = []
    for origin in ("1" * 32, "1" * 32, "0" * 32, "2" * 32, "3" * 32):
        changes = objections(state, name, [origin], "it answers wrongly")
        advance(state, changes)
        statuses.append((len(changes), state.claims[name].status))
    assert statuses == [
        (1, "disputed"),
        (0, "disputed"),
        (0, "disputed"),
        (1, "retracted"),
        (0, "retracted"),
    ]


def exemplar(point: list[float], label: str, number: int = 0) -> Claim:
    return held().model_copy(
        update={
            "kind": "exemplar",
            "embedding": np.array(point, np.float32),
            "labels": ((label, 1.0),),
            "origins": (f"{number:032x}",),
        }
    )


def test_claim_that_makes_answers_worse_is_disputed() -> None:
    rng = generator(6, "harm")
    centres = np.eye(2, 4) * 5
    claims = [
        exemplar((centres[i % 2] + rng.standard_normal(4)).tolist(), "ab"[i % 2], i)
        for i in range(30)
    ]
    bad = exemplar(centres[0].tolist(), "b", 99)
    tests = np.concatenate([centres + 0.5 * rng.standard_normal((2, 4)) for _ in range(20)])
    truth = np.tile([0, 1], 20)
    changes = harmful([*claims, bad], ["a", "b"], tests.astype(np.float32), truth, k=5)
    assert bad.digest in {change.digest for change in changes}
    assert len(changes) <= 2
    assert {change.status for change in changes} == {"disputed"}
    assert harmful([*claims, bad], ["a", "b"], tests[:0].astype(np.float32), truth[:0], 5) == []


def test_candidate_class_is_retracted_once_a_claim_names_it() -> None:
    name = f"{CANDIDATE}1"
    new = exemplar([1.0, 0.0], name, 1).with_status("candidate")
    other = exemplar([0.0, 1.0], f"{CANDIDATE}2", 2).with_status("candidate")
    state = fold([Added(claim=new), Added(claim=other)])
    (change,) = named(state, [exemplar([1.0, 0.1], "wine", 3)], alike=0.9)
    assert (change.digest, change.status) == (new.digest, "retracted")
    assert "wine" in change.reason
    assert named(state, [], 0.9) == []
