"""Claims are frozen values named by their content, and copies count once when they are merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from agents.knowledge.claims import Claim, merged

FRAME = "0" * 32
ORIGINS = tuple(f"{i:032x}" for i in range(8))
FIELDS: dict[str, Any] = {
    "kind": "exemplar",
    "embedding": np.array([1, 2], np.float32),
    "frame": FRAME,
    "labels": (("a", 2.0), ("b", 1.0)),
    "sources": ("x",),
    "origins": ORIGINS[:2],
}


def claim(**changes: Any) -> Claim:
    return Claim(**{**FIELDS, **changes})


def test_digest_names_the_content_and_not_the_status() -> None:
    assert claim().digest == claim().digest == claim(status="disputed").digest
    assert claim().digest == claim().with_status("retracted").digest


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "label"},
        {"embedding": np.array([1, 2.5], np.float32)},
        {"frame": "1" * 32},
        {"labels": (("a", 2.0),)},
        {"sources": ("x", "y")},
        {"origins": ORIGINS[:3]},
        {"valid_from": 1},
        {"valid_to": 2},
        {"text": "t"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_digest_changes_with_any_content(change: dict[str, Any]) -> None:
    assert claim(**change).digest != claim().digest


@pytest.mark.parametrize(
    "change",
    [
        {"origins": ()},
        {"origins": (ORIGINS[1], ORIGINS[0])},
        {"origins": (ORIGINS[0], ORIGINS[0])},
        {"origins": ("nothex" * 4,)},
        {"labels": (("b", 1.0), ("a", 1.0))},
        {"labels": (("a", 0.0),)},
        {"labels": (("a", float("nan")),)},
        {"embedding": np.array([np.nan, 0], np.float32)},
        {"embedding": np.zeros((1, 2), np.float32)},
        {"valid_from": 3, "valid_to": 3},
        {"kind": "rumour"},
        {"status": "true"},
    ],
    ids=str,
)
def test_claim_is_refused_when(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        claim(**change)


def test_validity_excludes_its_end() -> None:
    held = [claim(valid_from=1, valid_to=3).holds_in(episode) for episode in range(5)]
    assert held == [False, True, True, False, False]


def test_label_of_equal_counts_is_the_first_by_name() -> None:
    assert claim(labels=(("a", 1.0), ("b", 1.0))).label == "a"


def test_merged_claim_counts_a_copy_once_in_any_order() -> None:
    one = claim(labels=(("a", 2.0),))
    copies = [claim(labels=(("a", 2.0),), sources=(name,)) for name in ("y", "z")]
    other = claim(
        labels=(("b", 2.0),), origins=ORIGINS[4:6], embedding=np.array([3, 2], np.float32)
    )
    whole = merged([one, *copies, other])
    assert whole == merged([other, *copies[::-1], one])
    assert dict(whole.labels) == {"a": 2.0, "b": 2.0}
    np.testing.assert_allclose(whole.embedding, [2, 2])
    assert whole.sources == ("x", "y", "z")
    assert whole.origins == (*ORIGINS[:2], *ORIGINS[4:6])


def test_merged_claim_takes_the_share_of_new_origins_only() -> None:
    first = claim(labels=(("a", 2.0),))
    second = claim(labels=(("a", 4.0),), origins=ORIGINS[1:5])
    whole = merged([first, second])
    ordered = sorted([first, second], key=lambda c: c.digest)
    late = ordered[1]
    share = len(set(late.origins) - set(ordered[0].origins)) / len(late.origins)
    assert whole.weight == pytest.approx(ordered[0].weight + share * late.weight)
