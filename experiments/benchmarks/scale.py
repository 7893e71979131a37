"""Measure memory, time and disk per agent, from a hundred agents to ten thousand, on one machine.

    python -m experiments.benchmarks.scale --preset nano --agents 100,1000,10000
    python -m experiments.benchmarks.scale --preset tiny --agents 100,1000
    python -m experiments.benchmarks.scale --preset nano --agents 100x100,1000x20,10000x3

Each size is a run in its own process: agents on a ring train a few steps with AdamW on two Ray hosts
and average their weights with their neighbours'; eight of them are evaluated. ``100x20`` is a run of 100
agents and 20 rounds; its times include health checks, evaluations, checkpoints, records and the report.
Preparation of the text is left out. Disk is what the run folder holds at the end. Memory is the peak resident
memory of driver, hosts and Ray together, object store included, with shared pages counted once (PSS). CPU
seconds show the cost of an agent even on a machine with other work. Rows of other sizes measured earlier are
kept, so that table and picture show all of them.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from matplotlib import pyplot

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.records.layout import REPORT
from agentos.records.reports import RoundReport
from agentos.records.views.bounded_reads import folder_bytes
from agents.config import EncoderConfig
from agents.models.build import meta_backbone
from experiments.benchmarks.harness.resources import Meter, usage

RESULTS = Path(__file__).parents[1] / "results"
LIMIT_GB = 12
VOCABULARY = {"nano": 2048, "tiny": 8192}
"""Vocabulary sizes. With 8,192 words each, the states of ten thousand agents would take 100 GB of disk."""


@dataclass(frozen=True)
class Row:
    """Memory, time and disk of one society; times are those of a round."""

    preset: str
    agents: int
    states_gb: float
    peak_gb: float
    round_s: float
    cpu_ms_per_agent: float
    wall_ms_per_agent: float
    rounds: int = 1
    disk_mb: float = 0.0
    report_mb: float = 0.0


def configuration(
    preset: str, agents: int, rounds: int, memory_mb: int, steps: int
) -> dict[str, Any]:
    """Return a run; health is checked in one of several rounds."""
    return {
        "data": {
            "anchors": 256 if rounds > 1 else 0,
            "minimum_words": 8,
            "tokenizer": {"vocabulary_size": VOCABULARY[preset]},
        },
        "agents": {"count": agents, "encoder": {"preset": preset}},
        "topology": "ring",
        "exchange": "fedavg",
        "training": {"rounds": rounds, "local_steps": steps, "batch_size": 4, "max_length": 16},
        "evaluation": {
            "tasks": ["geometry"],
            "documents": 64,
            "agents": 8,
            "between_agents": False,
        },
        "saved_encoders": 1,
        "baseline": {"isolated": False},
        "runtime": {
            "kind": "ray",
            "hosts": 2,
            "memory_mb": memory_mb,
            "object_store_mb": 1024,
            "timeout_s": 36_000,
        },
    }


def run_one(values: dict[str, Any]) -> None:
    """Run a society in this process; print seconds of a round and bytes on disk, as JSON."""

    class Clock(Listener):
        """Records CPU and wall seconds when the first round begins and when the last one ends."""

        def on_round(self, report: RoundReport) -> None:
            if report.round in (0, report.rounds):
                ends.append((time.perf_counter(), usage(os.getpid()).cpu_s, time.process_time()))

    ends: list[tuple[float, float, float]] = []
    config = RunConfig.model_validate(values)
    rounds = config.training.rounds
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        Simulation(config, out=run, listener=Clock()).run()
        (began_s, cpu_before_s, _), (ended_s, cpu_after_s, own_s) = ends
        cpu_s, wall_s = cpu_after_s - cpu_before_s, ended_s - began_s
        if rounds > 1:  # the hosts have ended, and the report is this process's work
            cpu_s += time.process_time() - own_s
            wall_s += time.perf_counter() - ended_s
        taken = {
            "round_s": wall_s / rounds,
            "cpu_s": cpu_s / rounds,
            "disk_mb": folder_bytes(run) / 1e6,
            "report_mb": (run / REPORT).stat().st_size / 1e6,
        }
    print(json.dumps(taken))  # noqa: T201


def measure(preset: str, agents: int, rounds: int, memory_mb: int, steps: int) -> Row:
    """Run a society in its own process and meter it."""
    values = configuration(preset, agents, rounds, memory_mb, steps)
    command = [sys.executable, "-m", "experiments.benchmarks.scale", "--one", json.dumps(values)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child,
        Meter(child.pid) as meter,
    ):
        out, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"the run of {agents} {preset} agents ended with {child.returncode}")
    taken = json.loads(out.strip().splitlines()[-1])
    return Row(
        preset=preset,
        agents=agents,
        states_gb=round(3 * 4 * parameters(preset) * agents / 1e9, 2),
        peak_gb=round(meter.peak_bytes / 1e9, 2),
        round_s=round(taken["round_s"], 1),
        cpu_ms_per_agent=round(1000 * taken["cpu_s"] / agents, 1),
        wall_ms_per_agent=round(1000 * taken["round_s"] / agents, 1),
        rounds=rounds,
        disk_mb=round(taken["disk_mb"], 1),
        report_mb=round(taken["report_mb"], 1),
    )


def parameters(preset: str) -> int:
    """Return the number of trained parameters of a preset with its vocabulary."""
    backbone = meta_backbone(EncoderConfig(preset=preset), VOCABULARY[preset])
    unused = getattr(backbone, "pooler", None)
    frozen = sum(each.numel() for each in unused.parameters()) if unused is not None else 0
    return sum(each.numel() for each in backbone.parameters()) - frozen


def kept(path: Path) -> dict[tuple[str, int, int], Row]:
    """Read the rows measured earlier, by encoder, agents and rounds."""
    if not path.exists():
        return {}
    types: dict[str, type] = {"preset": str, "agents": int, "rounds": int}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Row(**{name: types.get(name, float)(text) for name, text in line.items()})
            for line in csv.DictReader(file)
        ]
    return {(row.preset, row.agents, row.rounds): row for row in rows}


def write(rows: Iterable[Row], folder: Path) -> str:
    """Write the table, the numbers and the picture; return the table."""
    found = sorted(rows, key=lambda row: (row.preset, row.rounds > 1, row.agents))
    lines = [
        "| encoder | agents | rounds | states with moments (GB) | peak resident memory (GB) | round (s) | "
        "CPU ms per agent and round | wall ms | disk (MB) | of it report |",
        "| --- |" + " ---: |" * 9,
    ]
    lines += [
        f"| {row.preset} | {row.agents:,} | {row.rounds} | {row.states_gb:g} | {row.peak_gb:g} | "
        f"{row.round_s:g} | {row.cpu_ms_per_agent:g} | {row.wall_ms_per_agent:g} | "
        + (f"{row.disk_mb:g} | {row.report_mb:g} |" if row.disk_mb else " | |")
        for row in found
    ]
    with (folder / "scale.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in found)
    table = "\n".join(lines)
    (folder / "scale.md").write_text(table + "\n", encoding="utf-8")
    draw(found, folder / "scale.svg")
    return table


def draw(rows: list[Row], path: Path) -> None:
    """Draw memory, time and disk per agent over the number of agents."""
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    memory, seconds, disk = axes
    for number, preset in enumerate(dict.fromkeys(row.preset for row in rows)):
        mine = [row for row in rows if row.preset == preset and row.rounds == 1]
        many = [row for row in rows if row.preset == preset and row.rounds > 1]
        agents, colour = [row.agents for row in mine], f"C{number}"
        peaks, states = [row.peak_gb for row in mine], [row.states_gb for row in mine]
        memory.plot(agents, peaks, "o-", color=colour, label=f"{preset}, resident in all")
        memory.plot(agents, states, "--", color=colour, label=f"{preset}, all agents' states")
        seconds.plot(
            agents, [row.cpu_ms_per_agent for row in mine], "o-", color=colour, label=preset
        )
        if not many:
            continue
        agents, label = [row.agents for row in many], f"{preset}, many rounds"
        times = [row.cpu_ms_per_agent for row in many]
        seconds.plot(agents, times, "s--", color=colour, label=label)
        shares = [1e3 * row.disk_mb / row.agents / row.rounds for row in many]
        disk.plot(agents, shares, "s--", color=colour, label=label)
    memory.axhline(LIMIT_GB, color="grey", linewidth=0.8)
    memory.set(xscale="log", xlabel="agents", yscale="log", ylabel="GB", title="Memory")
    seconds.set(
        xscale="log", xlabel="agents", ylabel="CPU ms", title="CPU time of an agent per round"
    )
    disk.set(xscale="log", xlabel="agents", ylabel="kB", title="Disk of an agent per round")
    for each in (seconds, disk):
        each.set_ylim(bottom=0)
    for each in axes:
        if each.lines:
            each.legend()
    figure.savefig(path)
    pyplot.close(figure)


def main(
    preset: Annotated[str, typer.Option(help="Encoder: nano or tiny.")] = "nano",
    agents: Annotated[
        str, typer.Option(help="Sizes of societies, or AGENTSxROUNDS.")
    ] = "100,1000,10000",
    memory_mb: Annotated[int, typer.Option(help="Budget of agents' states in memory.")] = 5000,
    steps: Annotated[int, typer.Option(help="Local steps of the round.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for the table and the picture.")] = RESULTS,
    one: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure memory and time per agent; print a Markdown table."""
    if one is not None:
        run_one(json.loads(one))
        return
    rows = kept(out / "scale.csv")
    for size in agents.split(","):
        count, rounds = (int(part or 1) for part in size.partition("x")[::2])
        rows[preset, count, rounds] = measure(preset, count, rounds, memory_mb, steps)
        table = write(rows.values(), out)
    typer.echo(table)


if __name__ == "__main__":
    typer.run(main)
