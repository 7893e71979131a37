"""Listeners of a run, which receive its events: terminal, profile, live state and log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # configurations import this module, and must load at once
    from agentos.data.corpus import Corpus
    from agentos.records.reports import Restart, RoundReport
    from protocols.ledger import Ledger


class Listener:
    """Receiver of a run's events; each method does nothing until it is overridden."""

    def on_stage(self, what: str) -> None:
        """Handle the beginning of a stage of the preparation, or progress in it."""

    def on_corpus(self, corpus: Corpus) -> None:
        """Handle text that has been read, split and divided among the agents."""

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        """Handle the beginning of a phase: training, monitoring, exchanging, evaluating or checkpointing."""

    def on_traffic(self, arm: str, round: int, ledger: Ledger) -> None:
        """Handle the deliveries up to the end of a round, before `on_round`; keep no reference."""

    def on_round(self, report: RoundReport) -> None:
        """Handle the end of a round of the run or its baseline; round 0 is before training."""

    def on_restart(self, restart: Restart) -> None:
        """Handle the loss of hosts: the run goes back to its last checkpoint."""


class Listeners(Listener):
    """Several listeners as one, notified in order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_stage(self, what: str) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_stage(what)

    def on_corpus(self, corpus: Corpus) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_corpus(corpus)

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_phase(arm, round, phase)

    def on_traffic(self, arm: str, round: int, ledger: Ledger) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_traffic(arm, round, ledger)

    def on_round(self, report: RoundReport) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_round(report)

    def on_restart(self, restart: Restart) -> None:
        """Notify all."""
        for listener in self._listeners:
            listener.on_restart(restart)
