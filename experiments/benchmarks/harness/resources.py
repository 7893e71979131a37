"""What a process and all that it started take of the machine: memory, seconds of the cores, files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What a tree of processes takes at a moment.

    Attributes:
        memory_bytes: resident memory, what processes share counted once (PSS), shared memory included.
        own_bytes: the part of it that is the process's own and its Ray hosts' (USS); the rest is Ray's.
        cpu_s: seconds of cores since each of the processes began.
        files: open file descriptors.
        processes: of the tree.
    """

    memory_bytes: int
    own_bytes: int
    cpu_s: float
    files: int
    processes: int


def usage(pid: int) -> Usage:
    """Look at a process and everything below it. Linux alone tells PSS."""
    import psutil

    memory, own, cpu, files, count = 0, 0, 0.0, 0, 0
    for process in _tree(psutil.Process(pid)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            told = process.memory_full_info()
            memory += told.pss
            if process.pid == pid or process.name().startswith("ray::"):
                own += told.uss
            cpu += times.user + times.system
            files += process.num_fds()
            count += 1
    return Usage(memory, own, cpu, files, count)


def _tree(root: Any) -> Iterator[Any]:
    import psutil

    with contextlib.suppress(psutil.Error):
        yield root
        yield from root.children(recursive=True)


class Meter:
    """Looks at a tree of processes again and again, in the background, and remembers the most.

    Args:
        pid: of the root.
        every_s: from one look to the next.

    Attributes:
        peak_bytes: the most memory that was seen.
    """

    def __init__(self, pid: int, every_s: float = 0.5) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            self.peak_bytes = max(self.peak_bytes, usage(self._pid).memory_bytes)
