"""The table of a sweep's answer, on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.sweep.paired_answer import Answer
from agentos.sweep.sweep_report import cells, headings, names

MOST_LINES = 30
"""Lines of a table that stays under a screen."""
SEEDS = "seeds"


def show_answer(console: Console, answer: Answer) -> None:
    """Print a line for each arm and group, then the sentence that sums them up.

    Numbers are never broken, and fit into 80 characters; seeds have a column only where their number varies.
    """
    seeds = {line.seeds for line in answer.lines}
    over = SEEDS
    if len(seeds) == 1:
        count = seeds.pop()
        over = f"{count} {SEEDS}" if count > 1 else "1 seed"
    title = f"{answer.metric.title}, mean ± 95 % interval over {over}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_edge=False, padding=0)
    columns = [i for i, heading in enumerate(headings(answer)) if heading != SEEDS or seeds]
    texts = len(names(answer, answer.lines[0]))
    for i in columns:
        heading = escape(headings(answer)[i]).replace("gain over ", "gain over\n")
        if i < texts:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for line in answer.lines[:MOST_LINES]:
        found = (*names(answer, line), *cells(answer, line))
        style = "bold" if answer.is_better(line) else None
        table.add_row(*(escape(found[i]) for i in columns), style=style)
    console.print(table)
    if len(answer.lines) > MOST_LINES:
        console.print(f"{len(answer.lines) - MOST_LINES} more lines are in the report")
    console.print(f"A run: {answer.sample}", style="dim", highlight=False)
    console.print(answer.sentence, markup=False, highlight=False, soft_wrap=True)
