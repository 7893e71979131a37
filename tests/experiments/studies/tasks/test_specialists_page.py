"""The page of the study of specialists, from made-up measurements."""

from __future__ import annotations

import pytest

from experiments.studies.tasks import specialists_page
from experiments.studies.tasks.specialists_page import (
    BEST,
    FUSED,
    SIDE_BY_SIDE,
    WORDS,
    Found,
    Measured,
    draw,
    page,
)

GAINS = {
    BEST: 0.0,
    FUSED: 0.04,
    SIDE_BY_SIDE: 0.05,
    "best, then all: confidence": 0.01,
    "best, then all: random": 0.0,
    WORDS: -0.1,
}


def found(seed: int) -> Found:
    """Accuracies at fixed distances, which the seed moves together and, a little, apart."""
    ways = {
        name: Measured(
            0.5 + 0.01 * seed + gain + 0.001 * (seed * place % 3), 1e6 * (place + 1), 100.0
        )
        for place, (name, gain) in enumerate(GAINS.items())
    }
    ways[SIDE_BY_SIDE] = ways[SIDE_BY_SIDE]._replace(payload_bytes=1600.0)
    return Found(ways, {"majority": ways[FUSED].accuracy - 0.02})


def test_claims_are_paired_differences_beside_their_aims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specialists_page, "installed", lambda module: module != "deslib")
    text = page([found(seed) for seed in range(6)], 16)
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "+4.1 ±" in rows["The society beats its best agent"]
    assert "at least +3" in rows["The society beats its best agent"]
    assert "-2.0 ± 0.0" in rows["majority"]
    assert "| – | – |" in rows[WORDS]
    assert "6.2% of the bytes" in text
    assert "Not installed: deslib." in text


def test_picture_has_a_point_for_each_way() -> None:
    (axis,) = draw({16: [found(seed) for seed in range(3)]}).axes
    assert set(axis.get_legend_handles_labels()[1]) == set(GAINS)
