"""Extraction agrees with slow references, and frames of rotated encoders agree."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.knowledge.extract import Extracted, exemplars, origin_of, prototypes
from agents.knowledge.frames import anchor_frame, frame_of, unit
from protocols.seeding import generator


def known() -> Extracted:
    rng = generator(3, "extract")
    points = rng.standard_normal((30, 5)).astype(np.float32)
    labels = [("a", "b", "c")[i % 3] for i in range(30)]
    return Extracted(points, labels, [origin_of(f"t{i}") for i in range(30)], frame_of("e"), "me")


def rows_of(data: Extracted, label: str) -> NDArray[np.float64]:
    rows = [data.embeddings[i] for i in range(30) if data.labels[i] == label]
    return np.array([row / np.linalg.norm(row.astype(np.float64)) for row in rows])


def test_prototypes_are_means_of_unit_rows() -> None:
    data = known()
    claims = prototypes(data)
    assert [claim.labels for claim in claims] == [((name, 10.0),) for name in "abc"]
    for claim in claims:
        expected = rows_of(data, claim.label).mean(axis=0)
        np.testing.assert_allclose(claim.embedding, expected, atol=1e-6)
        assert len(claim.origins) == 10


def test_exemplars_follow_herding_step_by_step() -> None:
    data = known()
    for name in "abc":
        rows = rows_of(data, name)
        chosen: list[int] = []
        for _ in range(4):
            costs = {
                i: float(np.sum((rows.mean(0) - rows[[*chosen, i]].mean(axis=0)) ** 2))
                for i in range(len(rows))
                if i not in chosen
            }
            chosen.append(min(costs, key=lambda i: costs[i]))
        found = [claim.embedding for claim in exemplars(data, 4) if claim.label == name]
        np.testing.assert_allclose(np.stack(found), rows[chosen], atol=1e-6)


def test_copies_of_a_text_share_an_origin() -> None:
    assert origin_of("Red  wine\n") == origin_of("red wine") != origin_of("red wines")


def test_frame_names_differ_by_parts() -> None:
    assert frame_of("ab", "c") != frame_of("a", "bc")
    assert frame_of("ab", b"c") == frame_of("ab", "c")


def test_anchor_frame_agrees_between_encoders_that_are_turned_scaled_and_shifted() -> None:
    rng = generator(1, "frames")
    texts, anchors = rng.standard_normal((20, 6)), rng.standard_normal((9, 6))
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0] * 3.0
    ours = anchor_frame(texts.astype(np.float32), anchors.astype(np.float32))
    moved = (rows @ turn + 5.0 for rows in (texts, anchors))
    theirs = anchor_frame(*(rows.astype(np.float32) for rows in moved))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_unit_leaves_rows_of_zeros() -> None:
    assert unit(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
    assert unit(np.array([[3, 4]], np.float32))[0].tolist() == pytest.approx([0.6, 0.8])
