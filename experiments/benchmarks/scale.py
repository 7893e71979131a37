"""Measure memory and time per agent, from a hundred agents to ten thousand, on one machine.

    python -m experiments.benchmarks.scale --preset nano --agents 100,1000,10000
    python -m experiments.benchmarks.scale --preset tiny --agents 100,1000

Each size is a run in a process of its own: agents on a ring train a few steps with AdamW on two Ray hosts
and average their weights with their neighbours'; eight of them are evaluated. Preparation of the text is
left out. Memory is the peak resident memory of driver, hosts and Ray together, object store included, with
shared pages counted once (PSS). CPU seconds show the cost of an agent even on a machine with other work.
Rows of other sizes measured earlier are kept, so that table and picture show all of them.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from matplotlib import pyplot

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.records.reports import RoundReport
from agents.config import EncoderConfig
from agents.models.build import meta_backbone
from experiments.benchmarks.harness.resources import Meter, usage

RESULTS = Path(__file__).parents[1] / "results"
LIMIT_GB = 12
VOCABULARY = {"nano": 2048, "tiny": 8192}
"""Vocabulary sizes. With 8,192 words each, the states of ten thousand agents would take 100 GB of disk."""


@dataclass(frozen=True)
class Row:
    """Memory and time of a round of one society."""

    preset: str
    agents: int
    states_gb: float
    peak_gb: float
    round_s: float
    cpu_ms_per_agent: float
    wall_ms_per_agent: float


def configuration(preset: str, agents: int, memory_mb: int, steps: int) -> dict[str, Any]:
    """Return a run of one round."""
    return {
        "data": {
            "anchors": 0,
            "minimum_words": 8,
            "tokenizer": {"vocabulary_size": VOCABULARY[preset]},
        },
        "agents": {"count": agents, "encoder": {"preset": preset}},
        "topology": "ring",
        "exchange": "fedavg",
        "training": {"rounds": 1, "local_steps": steps, "batch_size": 4, "max_length": 16},
        "evaluation": {
            "tasks": ["geometry"],
            "documents": 64,
            "agents": 8,
            "between_agents": False,
        },
        "saved_encoders": 1,
        "baseline": {"isolated": False},
        "checkpoints": {"every": 0},
        "runtime": {
            "kind": "ray",
            "hosts": 2,
            "memory_mb": memory_mb,
            "object_store_mb": 1024,
            "timeout_s": 36_000,
        },
    }


def run_one(values: dict[str, Any]) -> None:
    """Run a society in this process; print wall and CPU seconds of its round, as JSON."""

    class Clock(Listener):
        """Records CPU seconds at the beginning and at the end of the round."""

        def on_round(self, report: RoundReport) -> None:
            cpu_s.append(usage(os.getpid()).cpu_s)

    cpu_s: list[float] = []
    config = RunConfig.model_validate(values)
    with tempfile.TemporaryDirectory() as folder:
        result = Simulation(config, out=Path(folder) / "run", listener=Clock()).run()
    taken = {"round_s": result.round_s[0], "cpu_s": cpu_s[1] - cpu_s[0]}
    print(json.dumps(taken))  # noqa: T201


def measure(preset: str, agents: int, memory_mb: int, steps: int) -> Row:
    """Run a society in a process of its own and meter it."""
    values = configuration(preset, agents, memory_mb, steps)
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
    )


def parameters(preset: str) -> int:
    """Return the number of trained parameters of a preset with its vocabulary."""
    backbone = meta_backbone(EncoderConfig(preset=preset), VOCABULARY[preset])
    unused = getattr(backbone, "pooler", None)
    frozen = sum(each.numel() for each in unused.parameters()) if unused is not None else 0
    return sum(each.numel() for each in backbone.parameters()) - frozen


def kept(path: Path) -> dict[tuple[str, int], Row]:
    """Read the rows measured earlier."""
    if not path.exists():
        return {}
    types: dict[str, type] = {"preset": str, "agents": int}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Row(**{name: types.get(name, float)(text) for name, text in line.items()})
            for line in csv.DictReader(file)
        ]
    return {(row.preset, row.agents): row for row in rows}


def write(rows: Iterable[Row], folder: Path) -> str:
    """Write the table, the numbers and the picture; return the table."""
    found = sorted(rows, key=lambda row: (row.preset, row.agents))
    lines = [
        "| encoder | agents | states with moments (GB) | peak resident memory (GB) | round (s) | "
        "CPU ms per agent | wall ms per agent |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.preset} | {row.agents:,} | {row.states_gb:g} | {row.peak_gb:g} | {row.round_s:g} | "
        f"{row.cpu_ms_per_agent:g} | {row.wall_ms_per_agent:g} |"
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
    """Draw memory and time per agent over the number of agents."""
    matplotlib.use("Agg")
    figure, (memory, seconds) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for number, preset in enumerate(dict.fromkeys(row.preset for row in rows)):
        mine, colour = [row for row in rows if row.preset == preset], f"C{number}"
        agents = [row.agents for row in mine]
        peaks, states = [row.peak_gb for row in mine], [row.states_gb for row in mine]
        memory.plot(agents, peaks, "o-", color=colour, label=f"{preset}, resident in all")
        memory.plot(agents, states, "--", color=colour, label=f"{preset}, all agents' states")
        seconds.plot(
            agents, [row.cpu_ms_per_agent for row in mine], "o-", color=colour, label=preset
        )
    memory.axhline(LIMIT_GB, color="grey", linewidth=0.8)
    memory.set(xscale="log", xlabel="agents", yscale="log", ylabel="GB", title="Memory")
    seconds.set(
        xscale="log", xlabel="agents", ylabel="CPU ms", title="CPU time of an agent per round"
    )
    seconds.set_ylim(bottom=0)
    for axes in (memory, seconds):
        axes.legend()
    figure.savefig(path)
    pyplot.close(figure)


def main(
    preset: Annotated[str, typer.Option(help="Encoder: nano or tiny.")] = "nano",
    agents: Annotated[str, typer.Option(help="Sizes of societies.")] = "100,1000,10000",
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
    for count in map(int, agents.split(",")):
        rows[preset, count] = measure(preset, count, memory_mb, steps)
        table = write(rows.values(), out)
    typer.echo(table)


if __name__ == "__main__":
    typer.run(main)
