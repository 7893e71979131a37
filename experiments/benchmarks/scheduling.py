"""Measure how far schedulers are from the optimum, which a mixed-integer program proves.

    python -m experiments.benchmarks.scheduling

Random graphs of subtasks on agents of unrelated speeds, with messages from far below to above the length of
the work. An instance whose optimum is not proven in the time is left out, and counted.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from agentos.tasks.scheduling import Greedy, Heft, RandomAgents, Scheduler
from agentos.tasks.scheduling.placements import violations
from agentos.tasks.scheduling.workload import Workload
from experiments.benchmarks.harness.schedule_optimum import optimum
from experiments.benchmarks.harness.societies import publish
from protocols.seeding import generator

PLANNERS: Mapping[str, Scheduler] = {
    "heft": Heft(),
    "heft, improvements: 0": Heft(improvements=0),
    "greedy": Greedy(),
    "random": RandomAgents(),
}


def random_workload(subtasks: int, agents: int, seed: int) -> Workload:
    """Unrelated speeds, a random graph, messages from far below to above the length of the work."""
    rng = generator(seed, "workload", subtasks, agents)
    seconds = rng.uniform(1, 10, size=(subtasks, 1)) * rng.uniform(
        0.5, 2.0, size=(subtasks, agents)
    )
    density, ratio = rng.uniform(0.1, 0.5), rng.choice([0.1, 0.5, 1.0, 2.0])
    pairs = [pair for pair in itertools.combinations(range(subtasks), 2) if rng.random() < density]
    sizes = range(1, len(pairs) + 1)
    links = rng.uniform(0.5, 1.5, size=(agents, agents)) * (1 - np.eye(agents))
    return Workload(
        names=tuple(f"s{i}" for i in range(subtasks)),
        arrows=dict(zip(pairs, sizes, strict=True)),
        seconds=seconds,
        allowed=np.ones((subtasks, agents), dtype=bool),
        transit_s={size: links * rng.uniform(1, 10) * ratio for size in sizes},
    )


@dataclass(frozen=True)
class Instance:
    """Makespans of one workload, and what each plan took.

    Attributes:
        subtasks: their number.
        best_s: the proven optimum.
        makespan_s, planning_s: by the name of the scheduler.
    """

    subtasks: int
    best_s: float
    makespan_s: Mapping[str, float]
    planning_s: Mapping[str, float]


def measure(subtasks: int, agents: int, seed: int, limit_s: float) -> Instance | None:
    """Plan a random workload with every scheduler; None where the optimum is not proven in time."""
    workload = random_workload(subtasks, agents, seed)
    makespans, planning = {}, {}
    for name, scheduler in PLANNERS.items():
        began = time.perf_counter()
        plan = scheduler.plan(workload, seed)
        planning[name] = time.perf_counter() - began
        makespans[name] = plan.makespan_s
        assert not violations(workload, plan), "a schedule that cannot be carried out"
    best = optimum(workload, min(makespans.values()), limit_s)
    return None if best is None else Instance(subtasks, best, makespans, planning)


def table(found: list[Instance], tried: int) -> list[str]:
    """Return a Markdown table: a row for each scheduler."""
    sizes = [instance.subtasks for instance in found]
    rows = [
        f"{len(found)} random instances of {min(sizes)} to {max(sizes)} subtasks on 2 to 4 agents; "
        f"{tried - len(found)} more without a proof. Makespans as multiples of the optimum.",
        "",
        "| scheduler | median | mean | 90 % | worst | optimal | planning (ms) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in PLANNERS:
        ratios = np.array([instance.makespan_s[name] / instance.best_s for instance in found])
        planning_ms = 1e3 * np.median([instance.planning_s[name] for instance in found])
        rows.append(
            f"| {name} | {np.median(ratios):.3f} | {ratios.mean():.3f} | "
            f"{np.quantile(ratios, 0.9):.3f} | {ratios.max():.3f} | {np.mean(ratios < 1.001):.0%} | "
            f"{planning_ms:.2f} |"
        )
    return rows


def main(
    instances: Annotated[int, typer.Option(min=1, help="Random workloads.")] = 60,
    limit_s: Annotated[float, typer.Option(help="Seconds for each proof.")] = 60.0,
) -> None:
    """Compare schedulers with the optimum; print a Markdown table."""
    found: list[Instance] = []
    for seed in range(instances):
        instance = measure(4 + seed % 9, 2 + seed % 3, seed, limit_s)
        if instance is not None:
            found.append(instance)
        typer.echo(f"{seed + 1} of {instances}, {len(found)} proven", err=True)
    lines = [
        "# Schedulers and the optimum",
        "",
        "`python -m experiments.benchmarks.scheduling`",
        "",
    ]
    typer.echo(publish("scheduling", [*lines, *table(found, instances)]))


if __name__ == "__main__":
    typer.run(main)
