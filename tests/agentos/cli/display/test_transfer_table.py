"""The table of a new agent: shares in percent as everywhere, and each value relative to the elders'."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from agentos.cli.display.transfer_table import show_transfer
from agentos.evaluation.base import Metric
from agentos.learning.transfer import Transfer

METRICS = (
    Metric(name="hits", higher_is_better=True, help="Hits.", percent=True),
    Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank."),
)


def test_values_are_rounded_as_everywhere_and_compared_with_the_elders(finished: Any) -> None:
    found = SimpleNamespace(
        directory=finished.directory,
        metrics=METRICS,
        elders={"hits": 0.5, "mrr": 0.25},
        taught={"hits": 0.4, "mrr": 0.25},
        scratch={"hits": 0.3},
        elder_tokens=1000.0,
        taught_tokens=250.0,
        scratch_tokens=250.0,
        token_share=0.25,
    )
    screen = Console(file=io.StringIO(), width=120)
    show_transfer(screen, cast(Transfer, found))
    shown = cast(io.StringIO, screen.file).getvalue()
    assert [cell.strip() for cell in _row(shown, "50.0%")] == [
        "50.0%",
        "40.0% (80%)",
        "30.0% (60%)",
    ]
    assert [cell.strip() for cell in _row(shown, "0.250 (100%)")] == ["0.250", "0.250 (100%)", "–"]
    assert "held-out documents, under one seed" in shown


def _row(shown: str, cell: str) -> list[str]:
    (line,) = (line for line in shown.splitlines() if cell in line)
    return line.strip("│").split("│")[1:]
