"""Resource usage of a process tree: memory, CPU time, open files. Linux only."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """A sample of the resource usage of a process tree.

    Attributes:
        memory_bytes: resident memory with shared pages counted once (PSS), shared memory included.
        own_bytes: memory private to the root and its Ray hosts (USS); the rest is Ray's.
        cpu_s: CPU seconds of all processes since each of them began.
        files: open file descriptors.
        processes: processes in the tree.
    """

    memory_bytes: int
    own_bytes: int
    cpu_s: float
    files: int
    processes: int


def usage(pid: int) -> Usage:
    """Return the usage of a process and all its descendants."""
    memory, own, cpu, files, count = 0, 0, 0.0, 0, 0
    for process in _tree(psutil.Process(pid)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used = process.memory_full_info()
            memory += used.pss
            if process.pid == pid or process.name().startswith("ray::"):
                own += used.uss
            cpu += times.user + times.system
            files += process.num_fds()
            count += 1
    return Usage(memory, own, cpu, files, count)


def _tree(root: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        yield root
        yield from root.children(recursive=True)


class Meter:
    """Samples a process tree in the background and keeps the peak of its memory.

    Args:
        pid: process id of the root.
        every_s: seconds between samples.

    Attributes:
        peak_bytes: largest memory sampled so far.
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
