"""Measure when texts divided among agents are answered sooner than by one agent, and what that costs.

    python -m experiments.studies.tasks.divided_texts RUNS

The agents and the task are those of experiments.studies.tasks.specialists. Simulated seconds are those until
all test texts are answered, for links and speeds that are given; accuracy is on the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from agentos.reporting.statistics import interval
from agentos.tasks.config import Task
from agentos.tasks.solving.dividing import divide
from agentos.tasks.solving.workbench import Workbench
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown
from experiments.studies.tasks.specialists import PACKAGES, read_once, reading, task_of

SHOTS, SPEED, SLACK = 16, 1e9, 0.1
LINKS = (1e3, 1e4, 1e6)
SPEEDS: Mapping[str, dict[str, Any]] = {
    "alike": {"kind": "fixed", "value": SPEED},
    "unlike": {"kind": "log_normal", "median": SPEED, "sigma": 1.0},
}
WAYS = ("single", "divided", "master_slave")
Key = tuple[str, float, str]


class Measured(NamedTuple):
    """Accuracy, simulated seconds for all test texts, and FLOPs of a text."""

    accuracy: float
    seconds: float
    flops: float


def measure(run: Path, seed: int, cache: Path) -> dict[Key, Measured]:
    """Return how each way to answer did, by speeds, links and way."""
    values = task_of(run, read_once(cache), seed, SHOTS).model_dump()
    values["decompose"] = {"kind": "shards", "slack": SLACK}
    found = {}
    with reading(run, seed, cache) as work_on:
        for (speeds, speed), link in product(SPEEDS.items(), LINKS):
            clock = {"speed": speed, "bytes_per_s": {"kind": "fixed", "value": link}}
            task = Task.model_validate({**values, "clock": clock})
            for way, one in answered(work_on(task)).items():
                found[speeds, link, way] = one
    return found


def answered(work: Workbench) -> dict[str, Measured]:
    """Return how each way to answer did on the test texts."""
    society, order = work.fit(range(len(PACKAGES)))
    society, _ = divide(work, society, order)
    queries = work.bench.queries("test")
    found = {}
    for way in WAYS:
        outcome = society.answer(queries, work.embed(order), way)
        right = float(outcome.answers.right(work.bench.codes[queries.ids]).mean())
        found[way] = Measured(right, outcome.simulated_s, float(outcome.flops.mean()))
    return found


def table(found: list[dict[Key, Measured]]) -> str:
    """Return a row for each setting and way to answer."""
    rows = []
    for speeds, link, way in found[0]:
        mine = [one[speeds, link, way] for one in found]
        alone = [one[speeds, link, WAYS[0]] for one in found]
        pairs = list(zip(mine, alone, strict=True))
        gain = interval([100 * (one.accuracy - other.accuracy) for one, other in pairs])
        times = interval([one.seconds / other.seconds for one, other in pairs])
        seconds = interval([one.seconds for one in mine])
        rows.append(
            [
                speeds,
                f"{link / 1e3:,.0f} kB/s",
                way,
                f"{100 * interval([one.accuracy for one in mine]).mean:.1f}",
                "–" if way == WAYS[0] else f"{gain.mean:+.1f} ± {gain.half_width:.1f}",
                f"{seconds.mean:.1f}",
                "–" if way == WAYS[0] else f"{times.mean:.2f} ± {times.half_width:.2f}",
            ]
        )
    head = ("speeds", "links", "answered by", "accuracy, %", "over one agent, points")
    return markdown((*head, "simulated s", "times one agent's"), rows)


def main(
    runs: Annotated[Path, typer.Argument(help="Folder of finished runs, seed-0, seed-1, ….")],
    seeds: Annotated[int, typer.Option(min=2, help="Runs that are used, from the first.")] = 5,
    cache: Annotated[Path, typer.Option(help="Folder of embeddings.")] = Path("runs/specialists"),
) -> None:
    """Measure every way to answer under every seed, and write a table."""
    found = []
    for seed in range(seeds):
        found.append(measure(runs / f"seed-{seed}", seed, cache))
        typer.echo(f"seed {seed} is done")
    page = (
        "# Texts divided among agents\n\n"
        f"`python -m experiments.studies.tasks.divided_texts RUNS --seeds {seeds}`\n\n"
        f"Six specialists tell the libraries of docstrings apart, with {SHOTS} labels of each. *single*: the "
        f"agent that is best out of fold answers all test texts. *divided*: `decompose: shards`, contiguous "
        f"texts for every agent within {100 * SLACK:.0f} points of it, as many as its speed allows. "
        f"*master_slave*: all answer all texts. Speeds of {SPEED:.0e} FLOPs a second, or log-normal around "
        "it (sigma 1); a message takes 0.05 s and its bytes. Simulated seconds until all test texts are "
        f"answered; {seeds} paired seeds (runs, labels, splits), mean ± half-width of a 95 % Student "
        "interval.\n\n"
        f"{table(found)}\n"
    )
    (RESULTS / "divided_texts.md").write_text(page, encoding="utf-8")
    typer.echo(page)


if __name__ == "__main__":
    typer.run(main)
