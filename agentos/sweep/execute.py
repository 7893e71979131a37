"""Execute the runs of a sweep, several at a time, each in its own process; keep their results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agentos.records.atomic_files import writing
from agentos.runtime.interruption import Interrupted, interruptible
from agentos.sweep.plan import Planned
from agentos.sweep.rows import FINISHED, RESULTS, STOPPED, Row, write_table
from agentos.sweep.worker import INTERRUPTED, ROW, failure, write_row
from protocols.errors import RecordError

WORKER = (sys.executable, "-m", "agentos.sweep.worker")
RUNS = "runs"
_POLL_S = 0.1
_GRACE_S = 30.0
"""Time that interrupted runs have to close their records."""
_TAIL = 400
"""Characters quoted from the end of a log."""

Report = Callable[[Planned, Row], None]


class Folder:
    """The folder of a sweep: a run folder for each run, and the table of their rows.

    Args:
        path: the folder.
        planned: the runs of the sweep; the table holds only these, in their order.
    """

    def __init__(self, path: Path, planned: Sequence[Planned]) -> None:
        self.path = path
        self.planned = planned
        self._rows = {run.id: row for run in planned if (row := self._read(run)) is not None}

    def of(self, run: Planned) -> Path:
        """Return the folder of a run."""
        return self.path / RUNS / run.id

    def log(self, run: Planned) -> Path:
        """Return the file that holds the output of a run."""
        return self.path / RUNS / f"{run.id}.log"

    def row(self, run: Planned) -> Row | None:
        """Return the row of a run that finished or failed."""
        return self._rows.get(run.id)

    @property
    def unfinished(self) -> list[Planned]:
        """The runs still to be done: those without a row, and those that failed."""
        return [run for run in self.planned if (self.row(run) or {}).get("status") != FINISHED]

    def take_in(self, run: Planned, exit_code: int) -> Row:
        """Read the row that a run has left, or record that it died without one; write the table."""
        row = self._read(run)
        if row is None:
            tail = self.log(run).read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
            row = failure(
                f"the process ended with exit code {exit_code}; its log ends: {tail or '-'}"
            )
            write_row(self.of(run), row)
        self._rows[run.id] = row
        self.write()
        return row

    def write(self) -> None:
        """Write the table of all rows so far."""
        rows = [
            {
                "id": run.id,
                "arm": run.arm,
                **{f"axis.{axis}": value for axis, value in run.axes.items()},
                "seed": run.seed,
                "error": None,
                **row,
                "folder": self.of(run).relative_to(self.path).as_posix(),
            }
            for run in self.planned
            if (row := self.row(run)) is not None
        ]
        write_table(self.path / RESULTS, rows)

    def _read(self, run: Planned) -> Row | None:
        try:
            row: Row = json.loads((self.of(run) / ROW).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RecordError(
                f"The record {self.of(run) / ROW} is damaged",
                actual=str(error),
                hint=f"remove {self.of(run)}; the run is then repeated",
            ) from error
        return row


def execute(
    folder: Folder,
    runs: Sequence[Planned],
    *,
    jobs: int,
    on_start: Callable[[Planned], None] = lambda run: None,
    on_end: Report = lambda run, row: None,
    keep_encoders: bool = False,
    trusted: Sequence[str] = (),
    stops: Callable[[Planned], bool] = lambda run: False,
    worker: Sequence[str] = WORKER,
) -> None:
    """Execute runs, several at a time; an error ends a run, never the sweep.

    An interrupt ends every process that was started. Runs that had finished by then are in the table.

    Args:
        folder: the sweep's folder.
        runs: the runs to execute, in this order.
        jobs: processes at a time.
        on_start, on_end: called when a run starts and ends.
        keep_encoders: whether the encoders of each run stay on disk.
        trusted: packages whose classes a run may import as kinds.
        stops: asked again and again whether a run is to end early, or not to begin.
        worker: command of a run; it reads its task from standard input.

    Raises:
        Interrupted: by Ctrl-C, SIGTERM or SIGHUP.
    """
    waiting, active = list(reversed(runs)), list[_Job]()
    options = {"keep_encoders": keep_encoders, "trusted": list(trusted)}
    with _alone_in(folder.path), interruptible():
        folder.write()  # rows of runs that are no longer in the sweep leave the table
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop()
                    if stops(run):
                        continue
                    active.append(_start(folder, run, worker, options))
                    on_start(run)
                time.sleep(_POLL_S)
                for job in active:
                    if not job.stopped and stops(job.run):
                        job.stopped = True
                        job.close()
                for job in [job for job in active if job.process.poll() is not None]:
                    active.remove(job)
                    job.close()
                    if job.process.returncode == INTERRUPTED and not job.stopped:
                        raise Interrupted(signal.SIGINT)
                    if job.process.returncode == INTERRUPTED:
                        write_row(folder.of(job.run), {"status": STOPPED})
                    on_end(job.run, folder.take_in(job.run, job.process.returncode))
        finally:
            _stop(active)


@dataclass
class _Job:
    run: Planned
    process: subprocess.Popen[bytes]
    stopped: bool = False

    def close(self) -> None:
        """Close the process's standard input, which interrupts it if it is still running."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()


def _start(folder: Folder, run: Planned, worker: Sequence[str], options: Mapping[str, Any]) -> _Job:
    threads = str(run.config.runtime.threads)
    task = {
        "folder": str(folder.of(run).absolute()),
        "config": run.config.resolved(),
        **options,
    }
    (folder.of(run) / ROW).unlink(missing_ok=True)  # of an attempt that failed
    folder.log(run).parent.mkdir(parents=True, exist_ok=True)
    with folder.log(run).open("wb") as log:
        process = subprocess.Popen(
            worker,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            # Ctrl-C must reach only the sweep, which then interrupts its runs.
            start_new_session=True,
        )
    job = _Job(run, process)
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died at once; its exit code tells why
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
    return job


def _stop(active: Sequence[_Job]) -> None:
    """Interrupt processes; kill those that have not ended in time, or all at a second Ctrl-C."""
    for job in active:
        job.close()
    deadline = time.monotonic() + _GRACE_S
    for job in active:
        try:
            job.process.wait(max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            deadline = 0.0
            job.process.kill()
            job.process.wait()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; refuse it while another process does.

    Raises:
        RecordError: another sweep holds it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise RecordError(
            f"Another sweep is running in {folder}",
            hint="wait until it ends, or choose another folder with --out",
        ) from error


def jobs_for(runs: Sequence[Planned], cores: int | None = None) -> int:
    """Return how many runs fit on a machine at a time: its cores over the threads of a run."""
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // max(run.config.runtime.threads for run in runs))
