"""The live display of a life, and its outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status
from rich.table import Table
from typing_extensions import Self

from agentos.learning.life import LifeListener
from agentos.learning.outcome.life_report import OUTCOMES, precision_note, test_names
from agentos.records.layout import REPORT

if TYPE_CHECKING:
    from agentos.learning.life_records import EpisodeRecord, LifeRecord


class LifeDisplay(LifeListener):
    """Shows the stage of the episode under way, and a line for each finished one."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._status = Status(name, console=console)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the live part."""
        self._status.stop()

    def on_stage(self, what: str) -> None:
        """Show what is under way."""
        self._status.update(what)

    def on_episode(self, record: EpisodeRecord, episodes: int) -> None:
        """Print the decision about an episode, and the accuracies after it."""
        accuracies = " ".join(f"{value:.1%}" for value in record.accuracies)
        self._console.print(
            f"episode {record.episode + 1} of {episodes}: {OUTCOMES[record.outcome]}; accuracy {accuracies}",
            markup=False,
            highlight=False,
        )
        if record.outcome == "refuse":
            for reason in record.reasons:
                self._console.print(f"  {reason}", markup=False, highlight=False)


def show_life(console: Console, record: LifeRecord, directory: Path) -> None:
    """Print the accuracy on the test of every episode, after each, its precision, and where the report is."""
    table = Table(title="accuracy")
    table.add_column("")
    count = max(len(record.before), len(record.episodes[-1].accuracies))
    for heading in test_names(record, count):
        table.add_column(heading, justify="right")
    for name, row in (
        ("before", record.before),
        *((f"after {each.episode + 1}", each.accuracies) for each in record.episodes),
    ):
        table.add_row(name, *(f"{value:.1%}" for value in row))
    console.print(table)
    if record.tests:
        console.print(precision_note(record), style="dim", highlight=False)
    console.print(f"report: {directory / REPORT}", soft_wrap=True, markup=False, highlight=False)
