"""Clusters that two agents see become candidate classes; those that one sees, or copies, do not."""

from __future__ import annotations

import numpy as np

from agents.knowledge.candidate_classes import (
    CANDIDATE,
    candidate_classes,
    clusters,
    is_candidate,
    likeness,
    novel_claims,
)
from agents.knowledge.claims import Claim
from protocols.seeding import generator

FRAME = "0" * 32


def seen_by(
    agent: int, centres: list[int], texts: int = 6, copies_of: int | None = None
) -> list[Claim]:
    rng = generator(agent, "novel")
    points = np.concatenate(
        [8 * np.eye(5)[c] + 0.5 * rng.standard_normal((texts, 5)) for c in centres]
    )
    author = agent if copies_of is None else copies_of
    origins = [f"{author:016x}{row:016x}" for row in range(len(points))]
    return novel_claims(
        points.astype(np.float32), origins, FRAME, f"agent-{agent}", 3, alike=0.8, least=4
    )


def test_cluster_that_two_agents_see_becomes_one_class() -> None:
    stated = [*seen_by(0, [0, 1]), *seen_by(1, [1, 2]), *seen_by(2, [1])]
    assert all(claim.labels[0][0] == "novel" and claim.weight == 6 for claim in stated)
    (found,) = candidate_classes(stated, 0.8)
    assert found.label.startswith(CANDIDATE)
    assert found.sources == ("agent-0", "agent-1", "agent-2")
    assert (found.weight, len(found.origins)) == (18, 18)
    assert is_candidate(found)
    assert int(found.embedding.argmax()) == 1
    assert candidate_classes(stated[::-1], 0.8) == [found]
    assert Claim.model_validate(found.model_dump()).digest == found.digest  # as a log reads it


def test_agents_that_state_the_same_texts_count_once() -> None:
    stated = [*seen_by(0, [0]), *seen_by(1, [0], copies_of=0)]
    assert candidate_classes(stated, 0.8) == []
    assert candidate_classes([], 0.8) == []


def test_few_texts_are_no_cluster() -> None:
    assert seen_by(0, [0], texts=3) == []
    assert novel_claims(np.zeros((0, 5), np.float32), [], FRAME, "agent-0", 3, 0.8, 1) == []


def test_clusters_begin_where_most_points_lie() -> None:
    points = np.array([[0, 1], [1, 0], [1, 0.01], [1, 0.02], [0.01, 1]], np.float32)
    assert clusters(points, 0.99) == [[1, 2, 3], [0, 4]]


def test_likeness_tells_how_close_the_claims_of_a_label_lie() -> None:
    made = seen_by(0, [0, 1, 2])
    assert likeness(made[:1]) is None
    points = [claim.embedding / np.linalg.norm(claim.embedding) for claim in made]
    mean = np.mean(points, axis=0)
    found = likeness(made)
    assert found is not None
    slow = np.mean([point @ mean / np.linalg.norm(mean) for point in points])
    np.testing.assert_allclose(found.to_mean, slow, atol=1e-6)
    pairs = [points[i] @ points[j] for i in range(3) for j in range(i)]
    np.testing.assert_allclose(found.between, np.quantile(pairs, 0.1), atol=1e-6)
