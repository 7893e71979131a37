"""The parts of a run's page, read from its folder again and again, in any process."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentos.data.printable_text import printable
from agentos.records.atomic_files import reading
from agentos.records.layout import ARMS, LEDGER, LIVE, LOG, NETWORK, TOGETHER
from agentos.records.ledger_file import read_ledger
from agentos.records.reader import read_network
from agentos.records.views.bounded_reads import read_object
from agentos.records.views.run_overview import RunOverview
from agentos.records.views.tail import Tail
from agentos.web.overviews import Overviews
from agentos.web.run_records import RunRecords
from agentos.web.running_curves import finite
from agentos.web.society_map import society_map
from protocols.errors import AgentOSError

LOG_LINES = 200
"""Lines of the log on the page."""
SHOWN_EDGES = 4_000
"""Most edges whose bytes are shown, those with the most."""
_LOG_BYTES = 60_000
_LARGEST_BYTES = 64_000_000
"""Largest network or ledger that is read for the page."""
_FRESH_S = 0.4
"""Age up to which what was read is not read again, however many pages ask."""
_LIVE_KEYS = {
    **{key: key for key in ("stage", "done", "total", "left_s", "updated", "total_bytes")},
    "current": "round",
}
"""Keys of the live state by their names on the page."""

Signature = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A part of the page: its JSON, and how often it has changed."""

    version: int
    text: str


class RunParts:
    """The parts of the page of one run; memory stays bounded, however long the run goes on.

    Parts: ``head``, ``society``, ``edges``, ``agents``, ``curves``, ``alarms`` and ``log``.

    Args:
        directory: the run folder.
        overviews: reads it at a glance.
    """

    def __init__(self, directory: Path, overviews: Overviews) -> None:
        self.directory = directory
        self.parts: dict[str, Part] = {}
        self._overviews = overviews
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._records: RunRecords | None = None
        self._network: Signature = ()
        self._ledger: Signature = ()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._log_tail = Tail(directory / LOG, _LOG_BYTES)

    def refresh(self) -> dict[str, Part]:
        """Read what is new in the folder; return the parts. Safe to call from several threads."""
        with self._lock:
            if time.monotonic() - self._read_at >= _FRESH_S:
                found, problem = self._overviews.of(self.directory), None
                try:
                    with reading(self.directory):
                        self._read(found)
                except (AgentOSError, OSError) as error:
                    problem = getattr(error, "message", None) or str(error)
                self._put("head", {**found.as_json(), **self._live(found), "unread": problem})
                self._read_at = time.monotonic()
            return dict(self.parts)

    def _read(self, found: RunOverview) -> None:
        self._log.extend(printable(line)[:500] for line in self._log_tail.lines())
        self._put("log", [*self._log])
        # Places come after the rest, in the second reading: those of a thousand agents take seconds.
        is_placed = self._records is not None
        records = self._described()
        if records is None:
            return
        records.read()
        arm = found.arm if found.status == "running" and found.arm in ARMS else TOGETHER
        self._put("agents", {"arm": arm, **records.latest[arm].as_json(records.main)})
        self._put("curves", {"metrics": records.metrics, "arms": records.curves.as_json()})
        self._put("alarms", records.alarms.as_json())
        self._put_edges(found.status == "running")
        if is_placed and "society" not in self.parts:
            network, _ = read_network(self.directory / NETWORK)
            self._put("society", society_map(network, records.names))

    def _described(self) -> RunRecords | None:
        """Return the records; new ones if another run began in the folder, None if none has yet."""
        signature = _signature(self.directory / NETWORK)
        if not signature or signature[-1] > _LARGEST_BYTES:
            return None
        if self._records is None or signature != self._network:
            self.parts.pop("society", None)
            self._records, self._network = RunRecords(self.directory), signature
        return self._records

    def _live(self, found: RunOverview) -> dict[str, Any]:
        """Return the phase of a run in progress, and its progress over all arms."""
        if found.status != "running":
            return {}
        try:
            live = read_object(self.directory / LIVE)
        except (AgentOSError, OSError, ValueError, RecursionError):
            return {}
        return {
            name: printable(value)[:200] if isinstance(value, str) else finite(value)
            for name, key in _LIVE_KEYS.items()
            if (value := live.get(key)) is not None
        }

    def _put_edges(self, is_running: bool) -> None:
        """Put the bytes of the last round of a run in progress, or of all rounds of one that ended."""
        if is_running:
            live = read_object(self.directory / LIVE)
            edges = [[int(part) for part in edge] for edge in live.get("edges", [])[:SHOWN_EDGES]]
            flat = [part for edge in edges if len(edge) == 3 for part in edge]
            self._put("edges", {"of": "round", "edges": flat})
            self._ledger = ()
            return
        found = _signature(self.directory / LEDGER)
        if found and found != self._ledger and found[-1] <= _LARGEST_BYTES:
            by_edge = read_ledger(self.directory / LEDGER).by_edge()
            most = sorted(by_edge.items(), key=lambda item: -item[1])[:SHOWN_EDGES]
            flat = [part for (a, b), size in most for part in (a, b, size)]
            self._put("edges", {"of": "run", "edges": flat})
            self._ledger = found

    def _put(self, name: str, value: Any) -> None:
        text = json.dumps(value, allow_nan=False)
        before = self.parts.get(name)
        if before is None or before.text != text:
            self.parts[name] = Part(before.version + 1 if before else 1, text)


def _signature(path: Path) -> Signature:
    """Return what changes with a file, its size last; nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size) if path.is_file() else ()
