"""Claims are refused unless kinds exist, counts are counts and each claim names different origins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from protocols.errors import RejectedMessage
from protocols.messages import Claims

FIELDS: dict[str, Any] = {
    "frame": "0" * 32,
    "episode": 0,
    "labels": ("a", "b"),
    "kinds": np.array([0, 2], np.uint8),
    "embeddings": np.ones((2, 3), np.float32),
    "counts": np.array([[1, 0], [0, 2]], np.float32),
    "origin_counts": np.array([1, 2], np.int32),
    "origins": np.arange(48, dtype=np.uint8).reshape(3, 16),
}


def test_valid_claims_are_admitted() -> None:
    Claims(**FIELDS).check_values()
    # The same origin may stand behind two claims.
    shared = np.stack([FIELDS["origins"][0], FIELDS["origins"][0], FIELDS["origins"][1]])
    Claims(**{**FIELDS, "origins": shared}).check_values()


@pytest.mark.parametrize(
    "change",
    [
        {"frame": "x"},
        {"labels": ("a", "a")},
        {"labels": ("a",)},
        {"labels": ()},
        {"kinds": np.zeros(3, np.uint8)},
        {"origins": np.zeros((3, 8), np.uint8)},
        {"episode": -1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_claims_cannot_be_built_when(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Claims(**{**FIELDS, **change})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kinds": np.array([0, 3], np.uint8)}, "not_claims"),
        ({"counts": np.array([[1, 0], [0, 0]], np.float32)}, "not_claims"),
        ({"counts": np.array([[1, -1], [0, 1]], np.float32)}, "not_claims"),
        ({"origin_counts": np.array([1, 1], np.int32)}, "not_claims"),
        ({"origin_counts": np.array([0, 3], np.int32)}, "not_claims"),
        ({"origin_counts": np.array([2**31 - 1, 2**31 - 1], np.int32)}, "not_claims"),
        ({"origins": np.zeros((3, 16), np.uint8)}, "not_claims"),
        ({"embeddings": np.full((2, 3), np.nan, np.float32)}, "not_finite"),
    ],
    ids=str,
)
def test_claims_are_rejected_when(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedMessage) as caught:
        Claims(**{**FIELDS, **change}).check_values(sender=5)
    assert (caught.value.reason, caught.value.sender) == (reason, 5)
