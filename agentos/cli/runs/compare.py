"""``agentos compare``: several runs next to each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.reporting.comparison import Comparison

_SETTINGS = ("status", "topology", "exchange", "agents", "heldout", "rounds", "seed")
_COLUMNS = 5
"""Most runs that are told one by one."""


def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Page with the charts.")] = Path("comparison.html"),
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare by; default: the first measured.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print groups and runs as JSON; the rest goes to stderr.")
    ] = False,
) -> None:
    """Compare runs by the settings in which they differ; plot quality against bytes.

    Runs that differ in their seed alone are one line of the table, with a 95 % interval over them. Up to five
    runs that all differ get a column each, with every metric that is not minor.

    Example: agentos compare runs/quickstart runs/complete --out comparison.html
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.group_table import show_groups
    from agentos.reporting.comparison import compare as compare_runs
    from agentos.reporting.comparison import write_comparison
    from agentos.reporting.setting_groups import group_runs

    console = SafeConsole(stderr=as_json)
    comparison = compare_runs(directories)
    grouped = group_runs(comparison, metric)
    page = write_comparison(directories, out)
    if as_json:
        answer = {**grouped.as_json(), "each": comparison.rows}
        typer.echo(json.dumps(answer, indent=2, allow_nan=False))
    elif metric is None and len(comparison.runs) == len(grouped.groups) <= _COLUMNS:
        show_comparison(console, comparison)
    else:
        show_groups(console, grouped)
    console.print(f"charts: {page}", soft_wrap=True, markup=False)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a column per run, without minor metrics, settings that all share, and empty rows."""
    from rich.markup import escape
    from rich.table import Table

    from agentos.evaluation.joint.joint_config import is_joint
    from agentos.records.views.config_differences import differing_fields, setting_text
    from agentos.reporting.units import ABSENT

    texts = comparison.texts()
    differing = differing_fields([run.config for run in comparison.runs])
    table = Table(show_lines=False)
    table.add_column("")
    for run in texts:
        table.add_column(escape(run[0]), justify="right", overflow="fold")
    for field in differing[0]:
        table.add_row(escape(field), *(escape(setting_text(each[field])) for each in differing))
    table.add_section()
    minor = {metric.name for metric in comparison.metrics if metric.minor}
    joint = {metric.name for metric in comparison.metrics if is_joint(metric)}
    rows = zip(comparison.columns, comparison.headings, *texts, strict=True)
    for column, heading, *cells in list(rows)[1:]:
        name, _, part = column.rpartition(".")
        told = name in minor or (name in joint and part == "worst")  # all agents answer as one
        told = told or (column in _SETTINGS and len(set(cells)) == 1)
        told = told or column in differing[0] or f"{column}.kind" in differing[0]
        if any(cell != ABSENT for cell in cells) and not told:
            table.add_row(heading, *(escape(cell) for cell in cells))
    console.print(table)
    console.print(
        f"{comparison.sample}; ±: 95 % interval over agents", style="dim", highlight=False
    )
