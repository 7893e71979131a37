"""Conflicts: who states what about which point, and what becomes of claims that lose."""

from __future__ import annotations

import numpy as np

from agentos.learning.knowledge.conflicts import settled, subjects_of
from agentos.learning.knowledge.resolvers import RESOLVERS
from agentos.learning.knowledge.storage.changes import Moved, Weighed
from agentos.learning.knowledge.storage.knowledge_state import advance
from tests.agentos.learning.knowledge.test_claim_fusion import claim, state_of

MAJORITY = RESOLVERS["majority"].model_validate({})


def candidate(point, label="a", number=0, **fields):
    return claim(point, label, number, **{"status": "candidate", **fields})


def test_ballots_hold_what_each_source_states_about_each_point() -> None:
    claims = [
        candidate([1, 0], "a", 0),
        candidate([1, 0.01], "b", 1),
        candidate([0, 1], "b", 0, labels=(("a", 1.0), ("b", 3.0))),
        candidate([0, 1], "b", 2, origins=(f"{0:032x}",), valid_from=3),
    ]
    found = subjects_of(claims, 0.95)
    assert [len(group) for group in found.groups] == [2, 2]
    assert found.sources == ("agent-0", "agent-1", "agent-2")
    expected = np.zeros((3, 2, 2))
    expected[0] = [[1, 0], [0.25, 0.75]]
    expected[1, 0] = [0, 1]
    expected[2, 1] = [0, 1]
    np.testing.assert_allclose(found.ballots.shares_SNK, expected)
    origins = found.ballots.origins_SN
    assert origins[0, 0] != origins[1, 0]
    assert origins[0, 1] == origins[2, 1]  # both rest on one text
    assert found.ballots.times_S.tolist() == [0, 0, 3]


def test_claim_that_loses_to_two_origins_is_retracted_and_to_one_disputed() -> None:
    wins = [candidate([1, 0], "a", 1), candidate([1, 0.001], "a", 2)]
    alone = [candidate([0, 1], "a", 4), candidate([0, 1], "b", 5), candidate([0, 1], "a", 6)]
    copied = candidate([0, 1], "a", 6, origins=alone[0].origins)  # the same text again
    state = state_of(*wins, candidate([1, 0], "b", 3), alone[0], alone[1], copied)
    changes = settled(state, MAJORITY, 0.95)
    advance(state, changes)
    status = {c.sources[0]: c.status for c in state.claims.values()}
    assert status == {
        "agent-1": "accepted",
        "agent-2": "accepted",
        "agent-3": "retracted",
        "agent-4": "accepted",
        "agent-5": "disputed",
        "agent-6": "accepted",
    }
    weighed = [c for c in changes if isinstance(c, Weighed)]
    lost = next(c for c in weighed if state.claims[c.digest].sources == ("agent-3",))
    assert {state.claims[r].sources for r in lost.rivals} == {("agent-1",), ("agent-2",)}
    assert lost.shares["a"] > lost.shares["b"]


def test_disputed_claim_is_accepted_again_when_others_come_to_state_it() -> None:
    held = [claim([1, 0], "a", 1, status="disputed"), claim([1, 0], "b", 2)]
    new = [candidate([1, 0], "a", 3), candidate([1, 0], "a", 4)]
    state = state_of(*held, *new)
    advance(state, settled(state, MAJORITY, 0.95))
    assert {c.sources[0]: c.status for c in state.claims.values()} == {
        "agent-1": "accepted",
        "agent-2": "retracted",
        "agent-3": "accepted",
        "agent-4": "accepted",
    }


def test_what_is_settled_is_not_written_again() -> None:
    state = state_of(
        *(candidate([1, 0.001 * i], "a", i) for i in range(3)),
        candidate([1, 0], "b", 7),
    )
    first = settled(state, MAJORITY, 0.95)
    advance(state, first)
    assert any(isinstance(change, Moved) for change in first)
    assert settled(state, MAJORITY, 0.95) == []
    assert not state.with_status("candidate")


def test_claim_that_its_neighbours_contradict_is_disputed() -> None:
    rng = np.random.default_rng(0)
    around = [
        candidate([*(10 * np.eye(2)[i % 2] + rng.standard_normal(2)), 0.0], "ab"[i % 2], i)
        for i in range(40)
    ]
    around = [c.model_copy(update={"sources": (f"agent-{i % 4}",)}) for i, c in enumerate(around)]
    odd = candidate([10.0, 0.0, 0.0], "b", 99, sources=("agent-0",))
    state = state_of(*around, odd)
    advance(state, settled(state, RESOLVERS["origin_beta"].model_validate({}), 0.9999))
    assert state.claims[odd.digest].status in ("disputed", "retracted")
    others = [c.status for c in state.claims.values() if c.digest != odd.digest]
    assert others.count("accepted") >= 38


def test_candidate_class_is_not_weighed() -> None:
    waiting = candidate([1, 0], "candidate-1", 1)
    state = state_of(waiting, candidate([1, 0], "a", 2), candidate([1, 0], "b", 3))
    assert waiting.digest not in {change.digest for change in settled(state, MAJORITY, 0.95)}
