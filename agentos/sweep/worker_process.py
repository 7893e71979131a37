"""A run of a sweep in a process of its own on this machine, and the launcher that starts such processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

WORKER = (sys.executable, "-m", "agentos.sweep.worker")

Task = Mapping[str, Any]
"""The line that a worker reads; see `agentos.sweep.worker`. ``threads`` are those of the run."""


class Job(Protocol):
    """A run that was started."""

    def exit_code(self) -> int | None:
        """Return the exit code of a run that has ended; None before."""

    def interrupt(self) -> None:
        """Ask the run to end, and to close its records."""

    def end(self, timeout_s: float) -> None:
        """Wait until an interrupted run has ended; kill it after the time."""


class Launcher(Protocol):
    """A place where the runs of a sweep are executed."""

    def start(self, task: Task, log: Path) -> Job:
        """Start a run, whose output goes to a file."""


class RunProcess:
    """A worker process. When its standard input closes, it is interrupted; so it ends with its parent.

    Args:
        task: what to run.
        log: file of its output.
        worker: command of the process; it reads its task from standard input.
    """

    def __init__(self, task: Task, log: Path, worker: Sequence[str] = WORKER) -> None:
        threads = str(task["threads"])
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                worker,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
                # Ctrl-C must reach only the sweep, which then interrupts its runs.
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; its exit code tells why
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()

    def exit_code(self) -> int | None:
        """Return the exit code of the process; None while it runs."""
        code = self._process.poll()
        if code is not None:
            self.interrupt()  # closes the pipe
        return code

    def interrupt(self) -> None:
        """Close the process's standard input, which interrupts it if it is still running."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self, timeout_s: float) -> None:
        """Wait for the process, and kill it after the time."""
        try:
            self._process.wait(timeout_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()


class Processes:
    """Launcher of runs as processes on this machine.

    Args:
        worker: command of a run.
    """

    def __init__(self, worker: Sequence[str] = WORKER) -> None:
        self._worker = worker

    def start(self, task: Task, log: Path) -> RunProcess:
        """Start a process for a run."""
        return RunProcess(task, log, self._worker)
