"""Strike a run on two Ray hosts in its middle, let it go on, and compare it with one that was left alone.

``python -m experiments.benchmarks.fuzzing.ray_faults``

A host is killed, stopped past its deadline or refused memory; Ray's services are killed; the command gets
signals; shared memory is tiny. The run must end by itself within `BOUND_S`, without a traceback, and have
the metrics of a run without faults, byte for byte: at its end, or when it has gone on without Ray.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
import yaml

from agentos import RunConfig
from experiments.benchmarks.fuzzing.crash_points import (
    Tried,
    config_of,
    go_on,
    in_child,
    metrics_of,
    run_to,
    without_reports,
    write_corpus,
)

BOUND_S = 300.0
"""Time to the end of a struck run, on however busy a machine; the deadline of a host included."""
DEADLINE_S = 60
STRUCK_AFTER, ROUNDS = 3, 12
MARK = "AGENTOS_RAY_FAULT"
FIELDS: dict[str, Any] = {
    "exchange": "anchor_contrast",
    "training": {"rounds": ROUNDS, "local_steps": 6, "batch_size": 12, "max_length": 16},
    "evaluation": {
        "every": ROUNDS,
        "tasks": ["geometry"],
        "documents": 40,
        "between_agents": False,
    },
    "checkpoints": {"every": 2},
}
RAY = {"kind": "ray", "hosts": 2, "timeout_s": DEADLINE_S}


def send(number: signal.Signals, pid: int) -> None:
    """Send a signal to a process."""
    os.kill(pid, number)


def refuse_memory(pid: int) -> None:
    """Let the operating system refuse a process more memory than it has, as a full machine does."""
    import resource

    held = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmData")
    )
    resource.prlimit(pid, resource.RLIMIT_DATA, (held, held))


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run.

    Attributes:
        part: text in the command line of the process that it strikes; empty for the run's own.
        strike: what happens to that process.
        around: command that the run is started by.
    """

    part: str
    strike: Callable[[int], None]
    around: tuple[str, ...] = ()


def _tiny(pid: int) -> None:
    """Strike nothing: the run has little shared memory from its start."""


_TINY = 'mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$@"'
FAULTS = {
    "a host is killed": Fault("ray::Host", partial(send, signal.SIGKILL)),
    "a host is stopped": Fault("ray::Host", partial(send, signal.SIGSTOP)),
    "a host gets no more memory": Fault("ray::Host", refuse_memory),
    "the control service is killed": Fault("gcs_server", partial(send, signal.SIGKILL)),
    "the raylet is killed": Fault("raylet/raylet", partial(send, signal.SIGKILL)),
    "the run gets SIGTERM": Fault("", partial(send, signal.SIGTERM)),
    "the run gets SIGHUP": Fault("", partial(send, signal.SIGHUP)),
    "the run gets SIGINT": Fault("", partial(send, signal.SIGINT)),
    "the run is killed": Fault("", partial(send, signal.SIGKILL)),
    "4 MB of shared memory": Fault("", _tiny, ("unshare", "-m", "sh", "-c", _TINY, "sh")),
}
"""By name. Shared memory is replaced in a mount namespace of the run's own, which needs root."""


def processes(mark: str) -> dict[int, str]:
    """Return the processes whose environment holds a mark, and their command lines; zombies aside."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes() and state != "Z":
                line = (process / "cmdline").read_bytes().decode("utf-8", "replace")
                found[int(process.name)] = line.split("\0")[0]
        except OSError:
            continue
    return found


def strike(name: str, config: RunConfig, folder: Path) -> tuple[str, float]:
    """Run a configuration under a fault; return what was wrong, if anything, and the seconds to its end."""
    fault, out, mark = FAULTS[name], folder / "out", f"{os.getpid()}-{time.time_ns()}"
    (folder / "run.yaml").write_text(yaml.safe_dump({**config.resolved(), "runtime": RAY}))
    command = [
        sys.executable,
        "-m",
        "agentos.cli",
        "run",
        str(folder / "run.yaml"),
        "--out",
        str(out),
    ]
    with (folder / "log").open("w", encoding="utf-8") as log:
        run = subprocess.Popen(
            [*fault.around, *command],
            env={**os.environ, MARK: mark, "AGENTOS_CACHE": str(folder.parent / "cache")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_heed_signals,
        )
    try:
        while run.poll() is None and not _has_recorded(out, STRUCK_AFTER):
            time.sleep(0.05)
        if run.poll() is not None:
            return f"was not struck: {_last(folder)}", 0.0
        struck = [pid for pid, line in processes(mark).items() if fault.part in line]
        fault.strike(struck[0] if fault.part else run.pid)
        began = time.monotonic()
        try:
            run.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            return f"did not end within {BOUND_S:.0f} s", BOUND_S
    finally:
        run.kill()
        run.wait()
        for pid in processes(mark):
            send(signal.SIGKILL, pid)
    told = (folder / "log").read_text(encoding="utf-8")
    seconds = time.monotonic() - began
    return ("a traceback" if "Traceback" in told else ""), seconds


def _last(folder: Path) -> str:
    """Return the last line that a run printed."""
    return (folder / "log").read_text(encoding="utf-8").strip().rpartition("\n")[2]


def _heed_signals() -> None:
    """Let the run heed what a shell that runs this in the background lets its children ignore."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _has_recorded(out: Path, round: int) -> bool:
    path = out / "metrics.jsonl"
    return path.exists() and f'"round": {round},' in path.read_text(encoding="utf-8")


def strike_all(only: list[str], folder: Path, report: Callable[[str], None]) -> list[Tried]:
    """Strike runs, let them go on, and compare their metrics with those of a run that was left alone."""
    without_reports()
    write_corpus(folder / "corpus.jsonl")
    config, cache = config_of(FIELDS, folder / "corpus.jsonl"), folder / "cache"
    code, said = in_child(lambda: run_to(config, folder / "whole", cache, None))
    if code != 0:
        return [Tried("the run without a fault", 0, 0, said)]
    tried = []
    for number, name in enumerate(only):
        place = folder / str(number)
        place.mkdir()
        outcome, seconds = strike(name, config, place)
        code, said = in_child(lambda place=place: go_on(config, place / "out", cache))  # type: ignore[misc]
        if not outcome and code != 0:
            outcome = f"afterwards: {said}"
        elif not outcome and metrics_of(place / "out") != metrics_of(folder / "whole"):
            outcome = f"other metrics, {said}"
        tried.append(Tried(name, STRUCK_AFTER, ROUNDS, outcome or "same"))
        report(f"{name}: {tried[-1].outcome}, {said} after {seconds:.0f} s: {_last(place)}")
    return tried


def main(
    only: Annotated[list[str] | None, typer.Option(help="Faults; default: all.")] = None,
) -> None:
    """Strike runs, and fail if any ends otherwise than one that was left alone."""
    with TemporaryDirectory() as folder:
        tried = strike_all(only or list(FAULTS), Path(folder), typer.echo)
    raise typer.Exit(any(each.outcome != "same" for each in tried))


if __name__ == "__main__":
    typer.run(main)
