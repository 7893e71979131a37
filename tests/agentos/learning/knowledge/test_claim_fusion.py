"""Near duplicates become one claim in every order, and thinning keeps what others can stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentos.learning.knowledge.claim_fusion import groups, joined, kept_groups, thinned
from agentos.learning.knowledge.config import Merging
from agentos.learning.knowledge.storage.changes import Added
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState, advance, fold
from agents.knowledge.claims import Claim, Status
from protocols.seeding import generator


def claim(point: Sequence[float], label: str = "a", number: int = 0, **fields: object) -> Claim:
    return Claim.model_validate(
        {
            "kind": "exemplar",
            "embedding": np.array(point, np.float32),
            "frame": "0" * 32,
            "labels": ((label, 1.0),),
            "sources": (f"agent-{number}",),
            "origins": (f"{number:032x}",),
            "status": "accepted",
            **fields,
        }
    )


def state_of(*claims: Claim) -> KnowledgeState:
    return fold([Added(claim=each) for each in claims])


def test_near_duplicates_of_one_label_are_joined_with_all_their_origins() -> None:
    state = state_of(
        claim([1, 0], number=1),
        claim([1, 0.01], number=2),
        claim([0, 1], number=3),  # elsewhere
        claim([1, 0], "b", number=4),  # another label
        claim([1, 0], number=5, kind="prototype"),  # another kind
        claim([1, 0], number=6, status="retracted"),
    )
    (change,) = joined(state, Merging())
    assert {state.claims[part].sources for part in change.parts} == {("agent-1",), ("agent-2",)}
    assert change.whole.origins == (f"{1:032x}", f"{2:032x}")
    advance(state, [change])
    assert joined(state, Merging()) == []


def test_claims_with_texts_are_compared_by_their_words() -> None:
    words = " ".join(f"word{i}" for i in range(40))
    state = state_of(
        claim([1, 0], number=1, text=words),
        claim([0, 1], number=2, text=words + " more"),
        claim([1, 0], number=3, text=" ".join(f"other{i}" for i in range(40))),
    )
    (change,) = joined(state, Merging())
    assert {state.claims[part].sources for part in change.parts} == {("agent-1",), ("agent-2",)}


def test_groups_have_a_leader_that_all_are_like() -> None:
    angles = np.linspace(0, 1.5, 16)  # a chain in which each is like the next
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    alike = points @ points.T > np.cos(0.25)
    found = groups(alike)
    assert len(found) > 3
    assert sorted(row for group in found for row in group) == list(range(16))
    assert all(alike[group[0], row] for group in found for row in group)


def test_thinning_drops_one_of_the_two_most_alike_until_few_enough_are_left() -> None:
    points = generator(1, "thinning").standard_normal((12, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cosines = points @ points.T
    left = list(range(12))
    while len(left) > 5:
        _, a, b = max((cosines[a, b], -a, -b) for a in left for b in left if a < b)
        a, b = -a, -b
        left.remove(a if cosines[b].mean() > cosines[a].mean() else b)
    found = kept_groups(cosines, 5)
    assert sorted(group[0] for group in found) == left
    assert sorted(row for group in found for row in group) == list(range(12))


def test_thinned_exemplars_stay_as_they_are_and_prototypes_become_means() -> None:
    rng = generator(2, "thinned")
    kinds = {"exemplar": 3, "prototype": 2}
    claims = [
        claim(rng.standard_normal(4).tolist(), number=10 * i + j, kind=kind)
        for j, kind in enumerate(kinds)
        for i in range(8)
    ]
    state = state_of(*claims)
    changes = thinned(state, exemplars=3, prototypes=2)
    advance(state, changes)
    left = state.with_status("accepted")
    assert {kind: sum(c.kind == kind for c in left) for kind in kinds} == kinds
    for kept in left:
        if kept.kind == "exemplar":
            assert kept in claims
    assert sum(len(c.origins) for c in left if c.kind == "prototype") == 8


def test_status_of_a_joined_claim_is_the_best_of_its_parts() -> None:
    statuses: list[Status] = ["candidate", "disputed", "accepted"]
    state = state_of(
        *(claim([1, 0.001 * i], number=i, status=each) for i, each in enumerate(statuses))
    )
    (change,) = joined(state, Merging())
    assert change.whole.status == "accepted"
