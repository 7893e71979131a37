"""Metrics, one line per agent and round, and their copy in TensorBoard."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from agentos.records.atomic_files import plain, replacing, writing
from agentos.records.layout import TIMINGS, agent_name

SIMULATED = "simulated_"
"""Prefix of seconds that are computed, not measured: the same in every run of a configuration."""

CURVES = 50
"""Above this number of agents, TensorBoard and trackers show only the mean curve."""


def curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the points of a round that TensorBoard and trackers show: mean and agent of each number.

    Example:
        >>> curves([{"agent": "agent-0", "loss": 1.0}, {"agent": "agent-1", "loss": 2.0}])
        {'loss/mean': 1.5, 'loss/agent-0': 1.0, 'loss/agent-1': 2.0}
    """
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        for key, value in row.items():
            if key not in ("round", "agent") and isinstance(value, (int, float)):
                values.setdefault(key, {})[row["agent"]] = value
    points: dict[str, float] = {}
    for key, by_agent in values.items():
        points[f"{key}/mean"] = float(np.mean([*by_agent.values()]))
        if len(by_agent) <= CURVES:
            points |= {f"{key}/{agent}": value for agent, value in by_agent.items()}
    return points


class MetricsLog:
    """Appends one line per agent and round to ``metrics.jsonl``, and mirrors them to TensorBoard.

    Measured seconds go to ``timings.jsonl`` in the same folder, so that runs of one configuration leave
    the same metrics, byte for byte.

    Args:
        path: the file to append to.
        board: the folder for TensorBoard's events.
    """

    def __init__(self, path: Path, board: Path) -> None:
        self.path = path
        self.timings = path.with_name(TIMINGS)
        self._board = board
        self._writer: Any = None
        self._purge: int | None = None

    def round(self, round: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append the rows of one round; they are handed to the operating system when this returns.

        Args:
            round: 0 before training, then from 1.
            rows: each with the key ``agent`` (a number, or its name) and numbers; a number that is
                not finite is written as null, so that every line is valid JSON.

        Raises:
            RecordError: the folder cannot be written to.
        """
        clean = [_row(round, row) for row in rows]
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.timings, [_only(row, timed=True) for row in clean])
            _append(self.path, [_only(row, timed=False) for row in clean])
            self._mirror(round, clean)

    def rewind(self, round: int) -> None:
        """Remove every line after a round; a run that is resumed writes them again.

        Raises:
            RecordError: the folder cannot be written to.
        """
        for path in (self.path, self.timings):
            rewind(path, round)
        self.close()
        # TensorBoard then hides the events of later rounds.
        self._purge = round + 1

    def close(self) -> None:
        """Flush TensorBoard's events; the lines are written already.

        Raises:
            RecordError: the folder cannot be written to.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            with writing(self._board):
                writer.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mirror(self, round: int, rows: Sequence[Mapping[str, Any]]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorBoard warns about its own dependencies
            # Imported at the first round: code that only reads records should not wait for it. Not the writer
            # that torch has for TensorBoard: a run on Ray needs torch in its hosts alone.
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            if self._writer is None:
                with _without_host_name():
                    self._writer = EventFileWriter(str(self._board))
                if self._purge is not None:
                    begun = SessionLog(status=SessionLog.START)
                    self._writer.add_event(
                        Event(step=self._purge, wall_time=time.time(), session_log=begun)
                    )
            points = [Summary.Value(tag=k, simple_value=v) for k, v in curves(rows).items()]
            self._writer.add_event(
                Event(step=round, wall_time=time.time(), summary=Summary(value=points))
            )
            self._writer.flush()


@contextmanager
def _without_host_name() -> Iterator[None]:
    """Keep this machine's name out of the names of TensorBoard's files, which are shared with the records."""
    from tensorboard.summary.writer import event_file_writer

    named = event_file_writer.socket
    event_file_writer.socket = SimpleNamespace(gethostname=lambda: "agentos")
    try:
        yield
    finally:
        event_file_writer.socket = named


def rewind(path: Path, round: float) -> None:
    """Remove every line after a round from a file of JSON lines that have a round each.

    Raises:
        RecordError: the folder cannot be written to.
    """
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if _round_of(line) <= round]
        with replacing(path) as draft:
            draft.write_text("".join(kept), encoding="utf-8", newline="\n")


def _append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def _only(row: Mapping[str, Any], timed: bool) -> dict[str, Any]:
    """Return the seconds of wall time in a row, or the rest of it, with round and agent."""
    kept = ("round", "agent")
    return {key: row[key] for key in row if key in kept or _is_wall_time(key) == timed}


def _is_wall_time(key: str) -> bool:
    return key.endswith("_s") and not key.startswith(SIMULATED)


def _round_of(line: str) -> float:
    """Return the round of a line; infinity for a line that was cut off, so that it is removed."""
    try:
        return int(json.loads(line)["round"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _row(round: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of metrics: round, agent, and the rest in the order of their names."""
    agent = row["agent"]
    name = agent if isinstance(agent, str) else agent_name(agent)
    rest = {key: plain(row[key]) for key in sorted(row.keys() - {"round", "agent"})}
    return {"round": int(round), "agent": name, **rest}
