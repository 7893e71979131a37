"""The page of a sweep: what it shows of an answer, and hostile names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from agentos.cli.display.console import SafeConsole
from agentos.cli.display.sweep_answers import MOST_LINES, show_answer
from agentos.evaluation.base import Metric
from agentos.reporting.charts.plotting import COLOURS
from agentos.sweep.paired_answer import answer
from agentos.sweep.sweep_report import write_sweep_report

MRR = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")


def rows(arms: list[str], seeds: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "status": "finished", "arm": arm, "seed": seed, "payload_bytes": 10, "flops": 1, "agents": 1,
            "mrr.mean": 0.1 * number + 0.01 * seed, "mrr.worst": 0.0, "mrr.agents": [0.5],
            "curve.round": [0, 4], "curve.mrr.mean": [0.0, 0.1 * number + 0.01 * seed],
        }
        for seed in range(seeds)
        for number, arm in enumerate(arms)
    ]  # fmt: skip


def test_page_holds_the_answer_and_escapes_names(tmp_path: Path) -> None:
    found = rows(["alone", "<script>alert(1)</script>"])
    result = answer(found, {"mrr": MRR})
    assert result is not None
    page = write_sweep_report(tmp_path / "report.html", "x<y", result, found, 0).read_text("utf-8")
    assert "<script>alert(1)" not in page
    assert "x&lt;y" in page
    assert "+0.100 ± 0.000" in page


def test_more_than_eight_arms_become_small_multiples(tmp_path: Path) -> None:
    found = rows([f"arm-{i}" for i in range(11)])
    result = answer(found, {"mrr": MRR})
    assert result is not None
    page = write_sweep_report(tmp_path / "report.html", "many", result, found, 0).read_text("utf-8")
    assert len(re.findall(r'id="curve-\d+" role', page)) == 2
    assert len(COLOURS) == len(set(COLOURS)) == 8


def test_terminal_stays_under_a_screen_and_json_is_plain(capsys: Any) -> None:
    result = answer(rows([f"arm-{i}" for i in range(60)], seeds=1), {"mrr": MRR})
    assert result is not None
    show_answer(SafeConsole(width=120), result)
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= MOST_LINES + 7
    assert "30 more lines are in the report" in said
    first, second = result.as_json()["lines"][:2]
    assert first["gain"] is None
    assert second["mean"] == {"mean": np.float64(0.1), "half_width": None}
