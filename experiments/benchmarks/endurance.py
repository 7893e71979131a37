"""Whether anything grows over five hundred rounds, and whether anything is left behind.

    python -m experiments.benchmarks.endurance

Agents on a ring exchange weights every round, on two Ray hosts, with checkpoints, in a process of its own.
Now and then the driver looks at itself and at all that it started: memory (what is shared counted once), open
files, processes. When it has ended, those processes are looked for again, and so are files in
shared memory that were not there before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.benchmarks.harness.resources import Usage, usage
from experiments.benchmarks.harness.societies import publish

SHARED = Path("/dev/shm")


def configuration(agents: int, rounds: int) -> dict[str, Any]:
    """Return a run of many short rounds."""
    return {
        "data": {"anchors": 32, "minimum_words": 8, "tokenizer": {"vocabulary_size": 500}},
        "agents": {"count": agents, "encoder": {"preset": "nano"}},
        "topology": "ring",
        "exchange": {"kind": "hybrid", "strategies": ["fedavg", "anchor_contrast"]},
        "training": {"rounds": rounds, "local_steps": 1, "batch_size": 16, "max_length": 16},
        "evaluation": {"tasks": ["geometry"], "documents": 32, "every": 50},
        "baseline": {"isolated": False},
        "checkpoints": {"every": 25},
        "runtime": {"kind": "ray", "hosts": 2, "object_store_mb": 128},
    }


def run_one(agents: int, rounds: int, every: int) -> None:
    """Run the society in this process; print what it took after every so many rounds, as JSON."""
    import os

    import psutil

    from agentos import RunConfig, Simulation
    from agentos.events import Listener
    from agentos.records.reports import RoundReport

    class HealthMonitor(Listener):
        def on_round(self, report: RoundReport) -> None:
            if report.round and report.round % every == 0:
                looks[report.round] = usage(os.getpid())
                pids.update(child.pid for child in psutil.Process().children(recursive=True))

    looks: dict[int, Usage] = {}
    pids: set[int] = set()
    config = RunConfig.model_validate(configuration(agents, rounds))
    with tempfile.TemporaryDirectory() as folder:
        Simulation(config, out=Path(folder) / "run", listener=HealthMonitor()).run()
    told = {
        "looks": {round: asdict(look) for round, look in looks.items()},
        "pids": sorted(pids),
    }
    print(json.dumps(told))  # noqa: T201


def leftovers(pids: list[int], before: set[str], wait_s: float = 30.0) -> tuple[int, int]:
    """Return how many of the processes still run, and the new files in shared memory, in the end."""
    import psutil

    until = time.monotonic() + wait_s
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.2)
    files = {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()
    return sum(psutil.pid_exists(pid) for pid in pids), len(files - before)


def table(looks: dict[int, dict[str, Any]], left: tuple[int, int]) -> list[str]:
    """Return the rows: each look, the growth of the second half, and what was left."""
    rows = [
        "| round | memory in all (MB) | of the driver and the hosts alone (MB) | open files | processes |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {round} | {look['memory_bytes'] / 1e6:.0f} | {look['own_bytes'] / 1e6:.0f} | {look['files']} | "
        f"{look['processes']} |"
        for round, look in looks.items()
    ]
    rounds = list(looks)
    first, last = rounds[len(rounds) // 2 - 1], rounds[-1]
    growth = {
        name: looks[last][name] - looks[first][name]
        for name in ("memory_bytes", "own_bytes", "files", "processes")
    }
    rows += [
        "",
        f"From round {first} to round {last}: {growth['memory_bytes'] / 1e6:+.1f} MB in all, "
        f"{growth['own_bytes'] / 1e6:+.1f} MB of the driver and the hosts, "
        f"{growth['files']:+d} open files, {growth['processes']:+d} processes. After the end: "
        f"{left[0]} processes and {left[1]} files in shared memory are left.",
    ]
    return rows


def main(
    agents: Annotated[int, typer.Option(help="Agents.")] = 6,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 500,
    every: Annotated[int, typer.Option(help="Rounds from one look to the next.")] = 50,
    one: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Watch a long run; print a Markdown table."""
    if one:
        run_one(agents, rounds, every)
        return
    before = {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()
    sizes = ["--agents", str(agents), "--rounds", str(rounds), "--every", str(every)]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.endurance", *sizes, "--one"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.strip().splitlines()[-1])
    looks = {int(round): look for round, look in told["looks"].items()}
    typer.echo(publish("endurance", table(looks, leftovers(told["pids"], before))))


if __name__ == "__main__":
    typer.run(main)
