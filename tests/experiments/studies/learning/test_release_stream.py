"""Defaults through releases: a source that revises itself, and copies of what it stated long ago."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.learning.release_extract import EXTRACT
from experiments.studies.learning.release_stream import (
    MIRRORED,
    MIRRORS,
    History,
    claims_of,
    figures,
    read,
)

COUNT, CHANGED = 200, 60


@pytest.fixture(scope="module")
def history() -> History:
    """Four releases; the defaults of some parameters changed with the last two."""
    held = np.full((4, COUNT), "1.0", dtype="<U4")
    held[2:, :CHANGED] = "2.0"
    text = np.char.add(held, np.arange(COUNT).astype(str))
    return History(("0.19", MIRRORED, "1.0", "1.1"), held, held.copy(), text)


def right(history: History, kind: str) -> float:
    claims = claims_of(history, 0)
    return figures(claims, np.arange(COUNT) < CHANGED, kind)[1]


def test_extract_is_a_history_of_real_changes() -> None:
    found = read(EXTRACT)
    assert (found.versions[0], len(found.versions)) == ("0.18.2", 17)
    changed = (found.signature_SN[0] != "") & (found.signature_SN[0] != found.signature_SN[-1])
    assert changed.sum() > 100
    assert (found.signature_SN[-1] != "").all()


def test_newest_statement_replaces_those_before_it(history: History) -> None:
    one = history.as_one()
    np.testing.assert_array_equal(one.documented_SN, history.signature_SN[-1:])
    silent = History(
        history.versions,
        history.signature_SN,
        np.where(np.arange(4)[:, None] == 3, "", history.documented_SN),
        history.text_SN,
    )
    np.testing.assert_array_equal(silent.as_one().documented_SN[0], history.documented_SN[2])


def test_mirrors_share_the_origin_of_what_they_repeat(history: History) -> None:
    claims = claims_of(history.with_mirrors(history), 0).ballots
    assert claims.origins_SN.shape == (4 + MIRRORS, COUNT)
    for mirror in range(4, 4 + MIRRORS):
        np.testing.assert_array_equal(claims.origins_SN[mirror], claims.origins_SN[1])
        np.testing.assert_array_equal(claims.shares_SNK[mirror], claims.shares_SNK[1])


def test_mirrors_deceive_all_but_origin_beta(history: History) -> None:
    mirrored = history.as_one().with_mirrors(history)
    assert right(mirrored, "origin_beta") == 100.0
    assert right(mirrored, "latest") == right(mirrored, "majority") == 0.0
    assert right(history, "latest") == 100.0
