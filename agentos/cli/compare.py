"""``agentos compare``: several runs next to each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.reporting.comparison import Comparison

_COLUMNS = 5
"""Most runs in one table."""


def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Page with the charts.")] = Path("comparison.html"),
) -> None:
    """Compare runs: print a table, and plot quality against bytes.

    Example: agentos compare runs/quickstart-1 runs/complete --out comparison.html
    """
    from rich.console import Console

    from agentos.reporting.comparison import compare as compare_runs
    from agentos.reporting.comparison import write_comparison

    console = Console()
    show_comparison(console, compare_runs(directories))
    console.print(f"charts: {write_comparison(directories, out)}", soft_wrap=True, markup=False)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a column per run, a few at a time; rows that are empty for all of these are left out."""
    from rich.markup import escape
    from rich.table import Table

    from agentos.reporting.units import ABSENT

    texts = comparison.texts()
    for start in range(0, len(texts), _COLUMNS):
        chunk = texts[start : start + _COLUMNS]
        table = Table(show_lines=False)
        table.add_column("")
        for run in chunk:
            table.add_column(escape(run[0]), justify="right", overflow="fold")
        for heading, *cells in zip(comparison.headings, *chunk, strict=True):
            if any(cell != ABSENT for cell in cells) and cells != [run[0] for run in chunk]:
                table.add_row(heading, *(escape(cell) for cell in cells))
        console.print(table)
