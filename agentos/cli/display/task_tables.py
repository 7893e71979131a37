"""Tables that the commands of tasks print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.records.layout import REPORT
from agentos.reporting.tasks.task_report import HEADINGS, row_of
from agentos.reporting.units import share_precision
from agentos.tasks.analysis import Analysis
from agentos.tasks.solving.run_task import ANALYSIS, Solved
from agentos.tasks.solving.work_folder import ANSWERS

_SHOWN = 60
"""Characters of a text that are shown next to its answer."""


def show_solved(console: Console, solved: Solved) -> None:
    """Print how each way to answer did, and the verdict."""
    sure = f"shares are known to {share_precision(solved.queries)} (95 %)"
    table = table_of(f"{solved.queries:,} test texts: {sure}; * answers from now on", HEADINGS)
    for line in solved.lines:
        style = "bold" if line.name == solved.society.chosen else None
        table.add_row(*row_of(solved, line), style=style)
    console.print(table)
    console.print(
        "right: accuracy; F1: macro; ECE: expected calibration error; costs are of one text, simulated with "
        "all texts asked at once, real on one core; words: TF-IDF with logistic regression",
        style="dim",
    )
    _print_agents(console, solved)
    console.print(f"[bold]{escape(solved.verdict)}[/]", highlight=False)
    for note in solved.notes:
        console.print(escape(note), highlight=False)
    folder = solved.directory
    for text in (f"answers: {folder / ANSWERS}", f"report:  {folder / REPORT}"):
        console.print(text, soft_wrap=True, highlight=False, markup=False)


def show_analysis(console: Console, analysis: Analysis, directory: Path) -> None:
    """Print what is known of a task."""
    figures, bits = analysis.figures, analysis.bits
    shortest, median, most, longest = figures.words
    sizes = figures.classes.values()
    for line in (
        f"{figures.texts:,} texts to fit on: {len(sizes)} classes of {min(sizes):,} to {max(sizes):,}",
        f"words: {shortest:,} to {longest:,}, half have at most {median:,}, 90 % at most {most:,}",
        f"near duplicates: {figures.repeats:,} texts, {figures.conflicts:,} of them under different labels",
        f"labels that look wrong: {analysis.noise.rate:.1%}",
        f"usable information: {bits.mean():.2f} bits a text, none in {(bits < 0).mean():.1%} of the texts",
    ):
        console.print(line, markup=False, highlight=False)
    console.print(f"[bold]{escape(analysis.verdict)}[/]", highlight=False)
    console.print(f"analysis: {directory / ANALYSIS}", soft_wrap=True, markup=False)


def shortened(text: str) -> str:
    """Return the beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _print_agents(console: Console, solved: Solved) -> None:
    title = (
        f"Agents, on the {solved.fitted:,} texts to fit on: {share_precision(solved.fitted)} (95 %)"
    )
    table = table_of(title, ("agent", "parameters", "right, out of fold"))
    for member in solved.society.members:
        name, size = escape(member.card.name), f"{member.card.parameters:,}"
        table.add_row(name, size, f"{member.accuracy:.1%}")
    console.print(table)


def table_of(title: str, headings: Sequence[str]) -> Table:
    """Return an empty table."""
    table = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right")
    return table
