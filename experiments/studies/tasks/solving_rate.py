"""Measure how many texts a second `solve` answers where every embedding is cached.

    python -m experiments.studies.tasks.solving_rate

Each task is solved twice in the same folder, and the second time is measured: reading, selection, analysis,
heads, fusions and deferrals, every architecture on the test texts, and the records; but no encoder. Processor
time is that of this process, so it does not depend on what else the machine does.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from experiments.benchmarks.harness.random_texts import LENGTH, texts
from experiments.benchmarks.harness.served_models import solved, write_models
from experiments.benchmarks.harness.societies import publish
from experiments.studies.exchange_tables import markdown

AGENTS = (1, 2, 4)


class Taken(NamedTuple):
    """Seconds of one `solve`."""

    wall_s: float
    cpu_s: float


def again(folder: Path, models: list[Path], count: int) -> Taken:
    """Solve a task twice; return what the second time took."""
    folder.mkdir()
    solved(folder, models, texts(count))
    wall, cpu = time.perf_counter(), time.process_time()
    solved(folder, models, texts(count))
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def row(agents: int, less: Taken, most: Taken, many: int) -> list[str]:
    """Return the row of a number of agents, from a small task and one of many texts."""
    return [
        str(agents),
        f"{less.cpu_s:.2f}",
        f"{most.cpu_s:.2f}",
        f"{many / most.cpu_s:,.0f}",
        f"{many / most.wall_s:,.0f}",
    ]


def main(
    few: Annotated[int, typer.Option(min=100, help="Texts of the small task.")] = 200,
    many: Annotated[int, typer.Option(help="Texts of the large one.")] = 1000,
) -> None:
    """Solve tasks of two sizes with 1, 2 and 4 agents; write a page."""
    rows, spent = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = write_models(folder, "tiny", max(AGENTS))
        for agents in AGENTS:
            less, most = (
                again(folder / f"{agents}-{count}", models[:agents], count) for count in (few, many)
            )
            rows.append(row(agents, less, most, many))
            spent.append(most.cpu_s)
            typer.echo(f"{agents} agents: {less}, {most}", err=True)
    columns = (
        "agents",
        f"CPU seconds, {few:,} texts",
        f"{many:,} texts",
        "texts a CPU second",
        "texts a second",
    )
    lines = [
        "# `solve` on cached embeddings",
        "",
        f"`python -m experiments.studies.tasks.solving_rate --few {few} --many {many}`",
        "",
        f"Four classes, texts of {LENGTH} words, 8 labelled texts of a class, embeddings 128 wide; the "
        "texts are all of a task, 40 % of them tested. With several agents all architectures are fitted and "
        f"tested. One process of {os.cpu_count()} cores ({platform.machine()}); texts a second "
        "of the clock depend on what else the machine does, those of processor time hardly do.",
        "",
        markdown(columns, rows),
        "",
        f"A further agent costs {np.polyfit(AGENTS, spent, 1)[0]:.2f} s of processor time ({many:,} texts).",
    ]
    typer.echo(publish("solving_rate", lines))


if __name__ == "__main__":
    typer.run(main)
