"""The page of the study of cascades, from made-up measurements."""

from __future__ import annotations

import pytest

from experiments.studies.tasks.cascade_page import (
    ALL,
    CHOSEN,
    DEAREST,
    PRESETS,
    WORDS,
    Measured,
    draw,
    table,
    verdict,
)

FLOPS = {"nano": 10.0, "tiny": 20.0, "small": 100.0, DEAREST: 1000.0, ALL: 1130.0}


def found(seed: int, gain: float = 0.0, share: float = 0.3) -> dict[str, Measured]:
    """Accuracies that grow with FLOPs, and a cascade at a share of the dearest one's."""
    base = 0.5 + 0.01 * seed
    ways = {
        name: Measured(base + 0.05 * place, flops, 1e4 * flops)
        for place, (name, flops) in enumerate(FLOPS.items())
    }
    dearest = ways[DEAREST].accuracy
    cascade = Measured(dearest + gain, 1000.0 * share, 1.13e7)
    return {
        WORDS: Measured(base, 0.0, 0.0),
        **ways,
        "cascade, budget 0.2": cascade,
        CHOSEN: cascade._replace(accuracy=dearest + gain + 0.001 * (seed % 2)),
    }


@pytest.mark.parametrize(
    ("gain", "share", "holds"),
    [(0.0, 0.3, True), (-0.004, 0.5, True), (-0.02, 0.3, False), (0.0, 0.6, False)],
)
def test_verdict_compares_with_the_dearest_encoder(gain: float, share: float, holds: bool) -> None:
    text = verdict([found(seed, gain, share) for seed in range(5)], training_flops=1e9)
    assert ("It holds here" in text) is holds
    assert f"{100 * share:.1f} % of MiniLM's FLOPs" in text


def test_costs_are_paid_back_by_what_a_text_saves() -> None:
    """700 FLOPs a text pay for 1.3 M of the heads after 1,857, and for 700 M of training after 1,001,857."""
    text = verdict([found(seed) for seed in range(5)], training_flops=7e8)
    assert "after 1,857 texts" in text
    assert "after 1,001,857" in text
    dear = verdict([found(seed, share=1.2) for seed in range(5)], training_flops=7e8)
    assert "It saves nothing" in dear


def test_table_has_a_row_for_each_way_and_the_picture_a_point() -> None:
    measured = [found(seed) for seed in range(3)]
    rows = table(measured).splitlines()
    assert len(rows) == 2 + len(measured[0])
    assert "| – | – |" in next(row for row in rows if WORDS in row)
    (axis,) = draw({16: measured}).axes
    names = axis.get_legend_handles_labels()[1]
    assert {*PRESETS, DEAREST, ALL, CHOSEN, WORDS} <= set(names)
