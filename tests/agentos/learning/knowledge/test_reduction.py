from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.knowledge.claim_answers import ClaimAnswers
from agentos.learning.knowledge.claim_exchange import frame_of_anchors
from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.config import Knn
from agentos.learning.knowledge.reduction import ClaimFrame, Reduction, fitted, reduced
from agentos.learning.knowledge.storage.changes import from_json, to_json
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit

FRAME = "a" * 32


def claim(point: np.ndarray, label: str, number: int) -> Claim:
    return Claim(
        kind="exemplar",
        embedding=point.astype(np.float32),
        frame=FRAME,
        labels=((label, 1.0),),
        sources=("agent-0",),
        origins=(f"{number:032x}",),
    )


def test_dimensions_that_points_do_not_use_cost_nothing() -> None:
    rng = np.random.default_rng(0)
    points = unit((rng.standard_normal((40, 5)) @ rng.standard_normal((5, 64))).astype(np.float32))
    change = fitted(points, FRAME, 16)
    assert change.dimensions == 5
    assert from_json(to_json(change)) == change
    fewer = Reduction(change).points(points)
    np.testing.assert_allclose(fewer @ fewer.T, points @ points.T, atol=1e-5)
    (one, other) = (Reduction(fitted(points, FRAME, size)).frame for size in (4, 5))
    assert len({one, other, FRAME}) == 3


def test_answers_that_too_few_dimensions_change_are_counted() -> None:
    # Labels differ along the second direction alone; the first one is longer, and says nothing.
    points = np.array([[1, 0.5], [1, 0.5], [-1, 0.5], [1, -0.5], [1, -0.5], [-1, -0.5]], np.float32)
    claims = [claim(row, "up" if row[1] > 0 else "down", n) for n, row in enumerate(points)]
    answers = ClaimAnswers(("down", "up"), Knn(k=1), ClaimWork())
    for size, low, high in ((1, 0.3, 0.7), (2, 0.0, 0.0)):
        after, loss = reduced(claims, Reduction(fitted(points, FRAME, size)), points, answers)
        assert low <= loss <= high
        assert {each.embedding.shape for each in after} == {(size,)}
        assert all(a.digest != b.digest for a, b in zip(after, claims, strict=True))
    stranger = claim(points[0], "up", 9).model_copy(update={"frame": "b" * 32})
    assert Reduction(fitted(points, FRAME, 1)).claim(stranger) is stranger


def test_damaged_basis_is_refused() -> None:
    values = to_json(fitted(np.eye(4, dtype=np.float32), FRAME, 3))
    for basis in ("", values["basis"][:-8], "no base64"):
        with pytest.raises(ValueError, match=r"basis|base64"):
            from_json({**values, "basis": basis})


@pytest.mark.parametrize("kept", [None, 2])
def test_points_are_placed_where_claims_that_are_known_stand(kept: int | None) -> None:
    anchors = ["one", "two", "three"]
    points = np.eye(3, dtype=np.float32)
    frame = frame_of_anchors(anchors)
    claims = [
        claim(row, "up", n).model_copy(update={"frame": frame}).with_status("accepted")
        for n, row in enumerate(points)
    ]
    change = None if kept is None else fitted(points, frame, kept)
    if change is not None:
        claims[:2] = [Reduction(change).claim(each) for each in claims[:2]]
    stranger = claim(points[0], "up", 9).with_status("accepted")
    held = {each.digest: each for each in [*claims, stranger]}
    found = ClaimFrame(anchors, KnowledgeState(claims=held, reduced=change))
    assert found.known() == (claims if kept is None else claims[:2])
    assert found.width == (kept or 3)
    placed = found.placed(points)
    assert placed.shape == (3, found.width)
    for row, known in zip(placed, found.known(), strict=False):
        np.testing.assert_allclose(row, known.embedding, atol=1e-6)
