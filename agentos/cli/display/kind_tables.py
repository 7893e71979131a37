"""Tables that the commands of tasks print, for tasks of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from agentos.cli.display.task_tables import shortened, show_solved, table_of
from agentos.records.layout import REPORT
from agentos.reporting.tasks.kind_report import cells_of, headings_of, note_of, parts_table
from agentos.tasks.society.open_any import Answered, AnyReply, PartsReply, WrittenReply
from agentos.tasks.society.open_search import FoundReply, SummaryReply
from agentos.tasks.society.open_society import Reply
from agentos.tasks.society.parts_society import PARTS
from agentos.tasks.solving.kind_outcome import Finished, Table
from agentos.tasks.solving.run_task import Solved
from agentos.tasks.solving.solve_any import AnySolved
from agentos.tasks.solving.work_folder import ANSWERS

_HITS = 3
"""Documents that are shown of those that were found."""


def show_any(console: Console, solved: AnySolved) -> None:
    """Print how each way to answer did, and the verdict."""
    if isinstance(solved, Solved):
        show_solved(console, solved)
        return
    if isinstance(solved, Finished):
        _show_ways(console, solved)
        left = solved.directory / ANSWERS
    else:
        _show(console, parts_table(solved))
        for part in solved.parts:
            console.print(f"{part.name}: {part.solved.verdict}", markup=False, highlight=False)
        left = solved.directory / PARTS
    console.print(f"[bold]{escape(solved.verdict)}[/]", highlight=False)
    _print_paths(console, left, solved.directory / REPORT)


def show_answers(console: Console, texts: Sequence[str], found: Answered) -> None:
    """Print the answer to each text."""
    for text, reply in zip(texts, found.replies, strict=True):
        console.print(f"[bold]{escape(shortened(text))}[/]", highlight=False)
        for line in _lines(reply):
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _show_ways(console: Console, finished: Finished) -> None:
    title = f"{finished.tested:,} test items; * answers from now on"
    table = table_of(title, headings_of(finished))
    for way in finished.ways:
        style = "bold" if way.name == finished.chosen else None
        table.add_row(*map(escape, cells_of(finished, way)), style=style)
    console.print(table)
    console.print(note_of(finished), style="dim", highlight=False)
    for each in finished.tables:
        if each.rows:
            _show(console, each)


def _show(console: Console, shown: Table) -> None:
    table = table_of(shown.title, shown.headings)
    for row in shown.rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_paths(console: Console, answers: Path, report: Path) -> None:
    for text in (f"answers: {answers}", f"report:  {report}"):
        console.print(text, soft_wrap=True, highlight=False, markup=False)


def _lines(reply: AnyReply) -> list[str]:
    """Return what is shown of a reply."""
    if isinstance(reply, FoundReply):
        return [f"{hit.score:.3f}  {shortened(hit.text)}" for hit in reply.hits[:_HITS]]
    if isinstance(reply, SummaryReply):
        return [reply.label]
    if isinstance(reply, WrittenReply):
        shares = ", ".join(f"{name} {share:.1%}" for name, share in reply.weights.items())
        return [f"… {reply.label}", f"written by {shares}"]
    if isinstance(reply, PartsReply):
        return [f"{name}: {line}" for name, each in reply.parts.items() for line in _lines(each)]
    assert isinstance(reply, Reply)
    # Agents that were not asked for a class of their own have said nothing.
    said = reply.said or (None,) * len(reply.asked)
    asked = (f"{name} ({label or 'silent'})" for name, label in zip(reply.asked, said, strict=True))
    return [f"{reply.label}  {reply.probability:.1%}, asked {', '.join(asked)}"]
