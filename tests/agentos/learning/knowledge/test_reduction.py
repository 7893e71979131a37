from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.knowledge.claim_answers import ClaimAnswers
from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.config import Knn
from agentos.learning.knowledge.reduction import Reduction, fitted, reduced
from agentos.learning.knowledge.storage.changes import from_json, to_json
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
