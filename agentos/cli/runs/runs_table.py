"""Runs at a glance, as a table, as lines and as JSON."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.records.views.run_overview import RunOverview
from agentos.reporting.units import ABSENT, bytes_text, seconds_text

COLOURS = {"running": "cyan", "finished": "green", "interrupted": "yellow"}


def show_runs(console: Console, folder: Path, runs: Sequence[RunOverview]) -> None:
    """Print one row per run, the latest last."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "status", "round", "result", "size", "started"):
        table.add_column(heading, overflow="fold" if heading == "run" else "ellipsis")
    now = time.time()
    for run in runs:
        table.add_row(
            escape(titled(folder, run)),
            f"[{COLOURS.get(run.status, 'red')}]{run.status}[/]",
            round_text(run),
            escape(result_text(run)),
            bytes_text(run.size_bytes),
            age_text(now - run.started),
        )
    console.print(table)
    if any(run.value is not None for run in runs):
        console.print(
            "result: mean over agents; `agentos compare` says its n and interval",
            style="dim",
            highlight=False,
        )


def show_run(console: Console, run: RunOverview) -> None:
    """Print a run, one line per fact."""
    holder = run.holder
    facts = {
        "run": str(run.directory),
        "name": run.name,
        "status": run.status,
        "process": f"{holder.process} on {holder.host}" if holder else "",
        "problem": run.problem or "",
        "agents": "" if run.agents is None else f"{run.agents:,}",
        "topology": run.topology or "",
        "exchange": run.exchange or "",
        "round": f"{round_text(run)} of {run.arm}",
        "time left": "" if run.left_s is None else seconds_text(run.left_s),
        "result": result_text(run),
        "started": f"{age_text(time.time() - run.started)} ago",
        "size": bytes_text(run.size_bytes),
    }
    for name, value in facts.items():
        if value:
            console.print(f"{name:10} {value}", markup=False, highlight=False, soft_wrap=True)


def as_json(run: RunOverview) -> dict[str, Any]:
    """Return a run as plain values."""
    return {"run": str(run.directory), **run.as_json()}


def titled(folder: Path, run: RunOverview) -> str:
    """Return a run's name in the folder, and its own where the folder is a digest, as in sweeps."""
    name = name_in(folder, run)
    return f"{name} {run.name}" if re.fullmatch("[0-9a-f]{16}", run.directory.name) else name


def name_in(folder: Path, run: RunOverview) -> str:
    """Return the name of a run in the folder that is listed."""
    if run.directory == folder:
        return str(folder)
    return run.directory.relative_to(folder).as_posix()


def round_text(run: RunOverview) -> str:
    """Return the last finished round, of how many."""
    if run.round is None:
        return ABSENT
    return f"{run.round}/{run.rounds}" if run.rounds is not None else str(run.round)


def result_text(run: RunOverview) -> str:
    """Return the value of the main metric, with its name."""
    if run.problem is not None:
        return run.problem
    if run.value is None or run.metric is None:
        return ABSENT
    value = f"{100 * run.value:.1f}%" if run.percent else f"{run.value:.3f}"
    return f"{run.metric} {value}"


def age_text(age_s: float) -> str:
    """Return how long ago something was, in one unit.

    Example:
        >>> age_text(30), age_text(7_300), age_text(200_000)
        ('30 s', '2 h', '2 d')
    """
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if age_s >= unit_s:
            return f"{int(age_s // unit_s)} {unit}"
    return f"{max(0, int(age_s))} s"
