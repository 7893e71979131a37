"""Overviews of many runs, each read again only when its files have changed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from agentos.records.layout import CONFIG, LIVE, LOCK_HOLDER, METRICS, REPORT, SUMMARY
from agentos.records.views.run_overview import RunOverview, find_runs, overview

_SIGNS = (CONFIG, SUMMARY, METRICS, LIVE, LOCK_HOLDER, REPORT, "checkpoints")

Signature = tuple[tuple[int, int], ...]


class Overviews:
    """The runs of a folder.

    Args:
        root: a folder of runs, or a run folder, which may not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[Path, tuple[Signature, RunOverview]] = {}
        self._lock = threading.Lock()

    def all(self) -> dict[str, RunOverview]:
        """Return every run by its id: its path in the folder."""
        paths = find_runs(self.root)
        for gone in self._kept.keys() - {*paths}:
            self._kept.pop(gone, None)
        return {self._id(path): self.of(path) for path in paths}

    def path(self, id: str) -> Path | None:
        """Return the folder of a run, or None if there is no such run: an id is looked up, never joined."""
        return {self._id(path): path for path in find_runs(self.root)}.get(id)

    def of(self, path: Path) -> RunOverview:
        """Return one run at a glance. A run that was killed changes no file, so its process is looked for."""
        with self._lock:
            signature, kept = _signature(path), self._kept.get(path)
            if kept is None or kept[0] != signature or kept[1].status == "running":
                self._kept[path] = kept = signature, overview(path)
            return kept[1]

    def _id(self, path: Path) -> str:
        return path.name if path == self.root else path.relative_to(self.root).as_posix()


def _signature(path: Path) -> Signature:
    found = []
    for name in _SIGNS:
        try:
            stat = os.stat(path / name)
            found.append((stat.st_mtime_ns, stat.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)
