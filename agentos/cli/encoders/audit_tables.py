"""Tables of an audit in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from agentos.audit.audit_sections import Section


def show_section(console: Console, part: Section) -> None:
    """Print one part of an audit: its table, how to read it, and what it says."""
    table = Table(box=box.SIMPLE_HEAD, title=part.title, title_justify="left")
    for place, name in enumerate(part.headings):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
    for row in part.rows:
        table.add_row(*row)
    console.print(table, markup=False)
    console.print(part.note, style="dim", highlight=False, markup=False)
    if part.verdict:
        console.print(part.verdict, style="bold", highlight=False, markup=False)
