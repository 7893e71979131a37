"""The study of robust fusions: its cells, what its attacks are allowed, and when a fusion withstands."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agents.exchange.parameters.robust_fusion import PARAMETER_FUSIONS
from experiments.studies.trust.poisoned_fusion import (
    AGENTS,
    ALONE,
    ATTACKS,
    CELLS,
    FUSIONS,
    POISONED,
    configuration,
    keep,
    known,
    table,
    withstands,
)


def test_every_fusion_meets_every_attack_within_what_it_promises() -> None:
    kinds = set()
    for fusion, attack in CELLS:
        config = configuration(fusion, attack, rounds=2, seed=3)
        config.network()
        assert bool(config.faults) == (attack != "none")
        rule = getattr(config.exchange, "fusion", None)
        if fusion != ALONE:
            kinds.add(rule.kind)
            assert rule.kind == "mean" or rule.tolerated(AGENTS) >= len(POISONED)
    assert kinds == set(PARAMETER_FUSIONS)
    assert len(CELLS) == 1 + len(FUSIONS) * len(ATTACKS)


@pytest.mark.parametrize(
    ("attacked", "expected"),
    [([11.0, 12.0], True), ([11.0, 16.0], False), ([14.9, 9.0], True), ([math.inf, 11.0], False)],
)
def test_fusion_withstands_if_nearer_to_no_attack_than_to_no_exchange(attacked, expected) -> None:
    found = {
        ("median", "noise"): attacked,
        ("median", "none"): [10.0, 10.0],
        (ALONE, "none"): [20.0] * 2,
    }
    assert withstands("median", "noise", found) is expected


def test_table_has_a_row_for_each_cell_and_the_share_of_no_attack() -> None:
    found = {cell: [10.0, 12.0] for cell in CELLS}
    found[ALONE, "none"] = [20.0, 24.0]
    found["median", "noise"] = [11.0, 13.2]
    rows = table(found, "python -m study")
    assert "| median | noise | 12.1 (11-13.2) | 1.10 x | yes |" in rows
    assert f"| {ALONE} | what they learnt | 22 (20-24) |  |  |" in rows
    assert len([row for row in rows if row.startswith("| ")]) == len(CELLS) + 2


def test_outcomes_are_kept_and_known_again(tmp_path: Path) -> None:
    keep(tmp_path / "kept.jsonl", "mean", "noise", 3, math.inf)
    keep(tmp_path / "kept.jsonl", "mean", "none", 3, 9.5)
    assert known(tmp_path / "kept.jsonl") == {
        ("mean", "noise", 3): math.inf,
        ("mean", "none", 3): 9.5,
    }
