"""What a run tells those who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.data.corpus import Corpus
    from agentos.records.reports import Restart, RoundReport


class Listener:
    """Watches a run; every method does nothing until it is overridden."""

    def on_stage(self, what: str) -> None:
        """Called when a stage of the preparation begins, or goes on."""

    def on_corpus(self, config: RunConfig, corpus: Corpus) -> None:
        """Called when the text has been read, split and divided among the agents."""

    def on_round(self, report: RoundReport) -> None:
        """Called after every round, of the run and of its baseline; round 0 is before training."""

    def on_restart(self, restart: Restart) -> None:
        """Called when hosts were lost, and the run goes back to its last checkpoint."""


class Listeners(Listener):
    """Several listeners as one, told in order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_stage(self, what: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_stage(what)

    def on_corpus(self, config: RunConfig, corpus: Corpus) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_corpus(config, corpus)

    def on_round(self, report: RoundReport) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_round(report)

    def on_restart(self, restart: Restart) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.on_restart(restart)
