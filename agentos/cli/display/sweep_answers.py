"""The table of a sweep's answer, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.sweep.paired_answer import Answer
from agentos.sweep.sweep_report import cells, headings, names

MOST_LINES = 30
"""Lines of a table that stays under a screen."""


def show_answer(console: Console, answer: Answer) -> None:
    """Print a line for each arm and group, then the sentence that sums them up."""
    table = Table(title=f"{answer.metric.title}, mean ± 95 % interval over seeds", show_edge=False)
    for heading in headings(answer):
        text = heading in (answer.by, answer.across)
        table.add_column(escape(heading), justify="left" if text else "right", overflow="fold")
    for line in answer.lines[:MOST_LINES]:
        style = "bold" if answer.is_better(line) else None
        table.add_row(*map(escape, (*names(answer, line), *cells(answer, line))), style=style)
    console.print(table)
    if len(answer.lines) > MOST_LINES:
        console.print(f"{len(answer.lines) - MOST_LINES} more lines are in the report")
    console.print(f"A run: {answer.sample}", style="dim", highlight=False)
    console.print(answer.sentence, markup=False, highlight=False, soft_wrap=True)
