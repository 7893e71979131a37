"""The live state of a run: its phase, its progress and its last round's traffic, for who watches it."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentos.events.listener import Listener
from agentos.records.layout import LIVE
from agentos.records.reports import Restart, RoundReport
from protocols.ledger import Ledger

MOST_EDGES = 4_000
"""Edges of a round that are written, those with the most bytes; the others are counted."""
_STAGE_S = 0.2
"""Seconds between two writes of stages, which reading text reports often."""

logger = logging.getLogger(__name__)


class LiveState(Listener):
    """Keeps ``.live.json`` in a run folder: whole at every moment, and never flushed to the disk.

    The file is no record: a run whose disk is full goes on without it.

    Args:
        directory: the run folder.
        arms: the arms of the run, in their order.
        clock: Unix time in seconds.
    """

    def __init__(
        self, directory: Path, arms: Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._path = directory / LIVE
        self._draft = directory / f"{LIVE}.{os.getpid()}.tmp"
        self._arms = tuple(arms)
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._written_s = 0.0
        self._broken = False
        self._state: dict[str, Any] = {"stage": "Starting", "began": clock(), "edges": []}
        self._write()

    def on_stage(self, what: str) -> None:
        """Write the stage of the preparation."""
        self._state["stage"] = what
        if self._clock() - self._written_s >= _STAGE_S:
            self._write()

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        """Write the phase of a round."""
        self._state.update(arm=arm, round=round, stage=phase)
        self._write()

    def on_traffic(self, arm: str, round: int, ledger: Ledger) -> None:
        """Take the bytes that went over each edge in a round."""
        edges = ledger.edges_of_round(round)
        kept = sorted(edges, key=lambda edge: (-edges[edge], edge))[:MOST_EDGES]
        self._state["edges"] = [[*edge, edges[edge]] for edge in kept]
        self._state["edges_left_out"] = len(edges) - len(kept)

    def on_round(self, report: RoundReport) -> None:
        """Write the end of a round, and the time that is left."""
        done = report.round + report.rounds * self._arms.index(report.arm)
        total = report.rounds * len(self._arms)
        now = self._clock()
        if self._first is None or done < self._first[1]:
            self._first = now, done
        began, before = self._first
        left = (now - began) / (done - before) * (total - done) if done > before else None
        self._state.update(
            arm=report.arm, finished=report.round, rounds=report.rounds, left_s=left,
            done=done, total=total, total_bytes=report.total_bytes, stage="between rounds",
        )  # fmt: skip
        self._write()

    def on_restart(self, restart: Restart) -> None:
        """Write that hosts are being replaced."""
        self._first = None
        self._state.update(stage="replacing lost hosts", edges=[])
        self._write()

    def close(self) -> None:
        """Remove the file."""
        for path in (self._path, self._draft):
            path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._broken:
            return
        self._written_s = self._clock()
        try:
            text = json.dumps({**self._state, "updated": self._written_s})
            self._draft.write_text(text + "\n", encoding="utf-8")
            self._draft.replace(self._path)
        except OSError as error:
            self._broken = True
            logger.warning("%s is no longer kept: %s", self._path, error)
