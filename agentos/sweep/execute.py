"""Execute the runs of a sweep, several at a time, in processes or tasks of Ray; keep their results."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agentos.records.atomic_files import writing
from agentos.runtime.interruption import Interrupted, interruptible
from agentos.sweep.launcher_config import LauncherConfig
from agentos.sweep.plan import Planned
from agentos.sweep.ray_tasks import ray_tasks
from agentos.sweep.rows import FINISHED, RESULTS, STOPPED, Row, write_table
from agentos.sweep.worker import INTERRUPTED, ROW, failure, write_row
from agentos.sweep.worker_process import Job, Launcher, Processes
from protocols.errors import ConfigurationError, RecordError

RUNS = "runs"
PROCESSES = Processes()
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
            log = self.log(run)
            tail = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
            end = tail[-_TAIL:].strip() or "-"
            row = failure(f"the process ended with exit code {exit_code}; its log ends: {end}")
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
    launcher: Launcher = PROCESSES,
) -> None:
    """Execute runs, several at a time; an error ends a run, never the sweep.

    An interrupt ends every run that was started. Runs that had finished by then are in the table.

    Args:
        folder: the sweep's folder.
        runs: the runs to execute, in this order.
        jobs: runs at a time.
        on_start, on_end: called when a run starts and ends.
        keep_encoders: whether the encoders of each run stay on disk.
        trusted: packages whose classes a run may import as kinds.
        stops: asked again and again whether a run is to end early, or not to begin.
        launcher: where the runs are executed.

    Raises:
        Interrupted: by Ctrl-C, SIGTERM or SIGHUP.
    """
    waiting, active = list(reversed(runs)), list[_Started]()
    options = {"keep_encoders": keep_encoders, "trusted": list(trusted)}
    with _alone_in(folder.path), interruptible():
        folder.write()  # rows of runs that are no longer in the sweep leave the table
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop()
                    if stops(run):
                        continue
                    active.append(_start(folder, run, launcher, options))
                    on_start(run)
                time.sleep(_POLL_S)
                for started in active:
                    if not started.stopped and stops(started.run):
                        started.stopped = True
                        started.job.interrupt()
                ended = [
                    (each, code) for each in active if (code := each.job.exit_code()) is not None
                ]
                for started, code in ended:
                    active.remove(started)
                    if code == INTERRUPTED and not started.stopped:
                        raise Interrupted(signal.SIGINT)
                    if code == INTERRUPTED:
                        write_row(folder.of(started.run), {"status": STOPPED})
                    on_end(started.run, folder.take_in(started.run, code))
        finally:
            _stop(active)


@dataclass
class _Started:
    run: Planned
    job: Job
    stopped: bool = False


def _start(
    folder: Folder, run: Planned, launcher: Launcher, options: Mapping[str, Any]
) -> _Started:
    task = {
        "folder": str(folder.of(run).absolute()),
        "config": run.config.resolved(),
        "threads": run.config.runtime.threads,
        **options,
    }
    (folder.of(run) / ROW).unlink(missing_ok=True)  # of an attempt that failed
    folder.log(run).parent.mkdir(parents=True, exist_ok=True)
    return _Started(run, launcher.start(task, folder.log(run)))


def _stop(active: Sequence[_Started]) -> None:
    """Interrupt runs; kill those that have not ended in time, or all at a second Ctrl-C."""
    for started in active:
        started.job.interrupt()
    deadline = time.monotonic() + _GRACE_S
    for started in active:
        started.job.end(max(0.0, deadline - time.monotonic()))


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


@contextmanager
def launched(
    config: LauncherConfig, runs: Sequence[Planned], address: str | None = None
) -> Iterator[tuple[Launcher, int]]:
    """Open the launcher of a sweep; yield it, and how many of the runs it has room for at a time.

    Args:
        config: the launcher.
        runs: runs of the sweep; each gets the threads of the one that has most.
        address: of the cluster that kind ray joins; None to start a Ray on this machine.

    Raises:
        ConfigurationError: an address is given for processes, or no node has room for a run.
        RuntimeFailure: Ray cannot be reached or started.
    """
    if config.kind == "processes":
        if address is not None:
            raise ConfigurationError(
                "an address is given, and the runs of the sweep are processes on this machine",
                actual=address,
                hint="add --launcher ray, or leave out --address",
            )
        yield PROCESSES, jobs_for(runs)
        return
    cpus = config.cpus or float(max(run.config.runtime.threads for run in runs))
    with ray_tasks(address, cpus, config.gpus) as tasks:
        yield tasks, tasks.places


def jobs_for(runs: Sequence[Planned], cores: int | None = None) -> int:
    """Return how many runs fit on a machine at a time: its cores over the threads of a run."""
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // max(run.config.runtime.threads for run in runs))
