"""The log of a run: what happened when, in lines for people."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agentos.data.printable_text import printable
from agentos.events.listener import Listener
from agentos.records.layout import LOG
from agentos.records.reports import Restart, RoundReport

_MOST_WAITING = 1_000
LARGEST_BYTES = 20_000_000
"""Size above which a log no longer grows: warnings of a thousand agents may come every round."""


class RunLog(Listener, logging.Handler):
    """Appends stages, rounds, restarts and this process's warnings to ``run.log`` in a run folder.

    Each line is written by itself, so that one can follow the file and a crash loses nothing.

    Args:
        directory: the run folder.
        waits: whether lines wait for the first phase or round: a run that cannot be continued, as its text
            has changed, is left as it was.
        clock: Unix time in seconds.
    """

    def __init__(
        self, directory: Path, waits: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        logging.Handler.__init__(self, logging.WARNING)
        self._path = directory / LOG
        self._clock = clock
        self._stage = ""
        self._ended = False
        self._waiting: deque[str] | None = deque(maxlen=_MOST_WAITING) if waits else None
        self._appending = threading.Lock()
        self.write(f"begun in process {os.getpid()}")

    def write(self, text: str) -> None:
        """Append a line; a line that cannot be written ends the log, not the run."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        line = f"{stamp} {' '.join(printable(text).split())}\n"
        with self._appending:
            if self._waiting is not None:
                self._waiting.append(line)
            elif not self._ended:
                self._append(line)

    def _append(self, lines: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                self._ended = file.tell() > LARGEST_BYTES
                file.write("the log ends here: it is full\n" if self._ended else lines)
        except OSError:
            self._ended = True

    def go_on(self) -> None:
        """Append the lines that have waited."""
        with self._appending:
            waiting, self._waiting = self._waiting, None
            if waiting:
                self._append("".join(waiting))

    def emit(self, record: logging.LogRecord) -> None:
        """Append a warning or an error of this process."""
        try:
            self.write(f"{record.levelname.lower()}: {record.getMessage()}")
        except (TypeError, ValueError):  # arguments that do not fit their message
            self.handleError(record)

    def on_stage(self, what: str) -> None:
        """Append a stage; progress in it, after a colon, is left out."""
        stage = what.partition(":")[0]
        if stage != self._stage:
            self._stage = stage
            self.write(stage)

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        """Append what has waited: the run goes on."""
        self.go_on()

    def on_round(self, report: RoundReport) -> None:
        """Append a round."""
        self.go_on()
        losses = [values["loss"] for values in report.metrics.values() if "loss" in values]
        text = f"{report.arm}: round {report.round} of {report.rounds}, {report.round_s:.1f} s"
        if losses:
            text += f", loss {sum(losses) / len(losses):.4f}"
        text += f", {report.total_bytes:,} bytes so far"
        struck = ", ".join(f"{name} {count}" for name, count in report.faults.items())
        self.write(text + (f"; faults: {struck}" if struck else ""))

    def on_restart(self, restart: Restart) -> None:
        """Append a restart."""
        self.write(
            f"restart {restart.number} in round {restart.round} of {restart.arm}: {restart.why}; "
            f"back to round {restart.back_to}"
        )
