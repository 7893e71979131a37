"""Measure memory, open files and processes over five hundred rounds, and what is left after the run.

    python -m experiments.benchmarks.endurance

Agents on a ring exchange weights every round, on two Ray hosts, with checkpoints, in its own process.
Every 50 rounds the driver samples its own process tree: memory (shared pages counted once), open files and
processes. After it has ended, the benchmark looks for surviving processes and for new files in shared memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.records.reports import RoundReport
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
    """Run the society in this process; print its usage every few rounds, and its processes, as JSON."""

    class Sampler(Listener):
        def on_round(self, report: RoundReport) -> None:
            if report.round and report.round % every == 0:
                samples[report.round] = usage(os.getpid())
                pids.update(child.pid for child in psutil.Process().children(recursive=True))

    samples: dict[int, Usage] = {}
    pids: set[int] = set()
    config = RunConfig.model_validate(configuration(agents, rounds))
    with tempfile.TemporaryDirectory() as folder:
        Simulation(config, out=Path(folder) / "run", listener=Sampler()).run()
    report = {
        "samples": {round: asdict(sample) for round, sample in samples.items()},
        "pids": sorted(pids),
    }
    print(json.dumps(report))  # noqa: T201


def leftovers(pids: list[int], before: set[str], wait_s: float = 30.0) -> tuple[int, int]:
    """Return the numbers of processes still running after a wait, and of new files in shared memory."""
    until = time.monotonic() + wait_s
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.2)
    files = {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()
    return sum(psutil.pid_exists(pid) for pid in pids), len(files - before)


def table(samples: dict[int, dict[str, Any]], left: tuple[int, int]) -> list[str]:
    """Return a row per sample, the growth over the second half, and what was left after the run."""
    rows = [
        "| round | memory (MB) | of it driver and hosts (MB) | open files | processes |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {round} | {sample['memory_bytes'] / 1e6:.0f} | {sample['own_bytes'] / 1e6:.0f} | "
        f"{sample['files']} | {sample['processes']} |"
        for round, sample in samples.items()
    ]
    rounds = list(samples)
    first, last = rounds[len(rounds) // 2 - 1], rounds[-1]
    growth = {
        name: samples[last][name] - samples[first][name]
        for name in ("memory_bytes", "own_bytes", "files", "processes")
    }
    rows += [
        "",
        f"From round {first} to round {last}: {growth['memory_bytes'] / 1e6:+.1f} MB, "
        f"{growth['own_bytes'] / 1e6:+.1f} MB of it in the driver and the hosts, "
        f"{growth['files']:+d} open files, {growth['processes']:+d} processes. After the run: "
        f"{left[0]} processes and {left[1]} files in shared memory were left.",
    ]
    return rows


def main(
    agents: Annotated[int, typer.Option(help="Agents.")] = 6,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 500,
    every: Annotated[int, typer.Option(help="Rounds between samples.")] = 50,
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
    report = json.loads(done.stdout.strip().splitlines()[-1])
    samples = {int(round): sample for round, sample in report["samples"].items()}
    typer.echo(publish("endurance", table(samples, leftovers(report["pids"], before))))


if __name__ == "__main__":
    typer.run(main)
