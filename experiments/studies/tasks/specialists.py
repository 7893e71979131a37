"""Measure what a society of specialists gains over its best agent when it answers a task together.

    python -m experiments.studies.tasks.specialists RUNS

RUNS holds finished runs of `agentos run quickstart`, one a seed: their six agents have the docstrings of one
library each. The task: which library is a docstring of? Heads are fitted on a few labelled texts, everything
is chosen on other texts, and measured once on a third part. The baselines are words alone,
the best agent alone, a head on the embeddings of all agents side by side, whose bytes are those of the
embeddings that the others would send, and other programs that fuse the same agents' answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow
import pyarrow.parquet
import typer

from agentos.data.sources.docstrings import Docstrings
from agentos.records.atomic_files import replacing
from agentos.runtime.local import LocalRuntime
from agentos.tasks.config import Task
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.solving.workbench import Bench, Workbench, cards_of
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.tasks.specialists_page import FUSED, Found, draw, head, page
from experiments.studies.tasks.specialists_ways import BUDGET, all_ways

PACKAGES = ("torch", "scipy", "sklearn", "sympy", "pandas", "ray")
TEXTS, TOKENS = 3000, 32


def read_once(cache: Path) -> Path:
    """Return a file with all docstrings, which is written if it is not there: parsing them takes long."""
    path = cache / "docstrings.parquet"
    if not path.is_file():
        found = list(Docstrings(packages=PACKAGES).documents())
        columns = {"text": [each.text for each in found], "label": [each.label for each in found]}
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            pyarrow.parquet.write_table(pyarrow.table(columns), draft)
    return path


def task_of(run: Path, texts: Path, seed: int, shots: int | None) -> Task:
    """Return the task for the agents of a run."""
    source = {"kind": "parquet", "path": str(texts), "text": "text", "label": "label"}
    values: dict[str, Any] = {
        "name": "specialists",
        "seed": seed,
        "library": {"runs": [str(run)]},
        "task": {
            "kind": "classify",
            "source": source,
            "shots": shots,
            "max_length": TOKENS,
            "limit": TEXTS,
        },
    }
    return Task.model_validate(values)


@contextmanager
def reading(run: Path, seed: int, cache: Path) -> Iterator[Callable[[Task], Workbench]]:
    """Let the agents of a run read all texts of a seed once; provide the workbench of a task on them."""
    whole = task_of(run, read_once(cache), seed, None)
    with LocalRuntime().open(len(PACKAGES)) as session:
        encoders = Encoders(session, cards_of(whole.library, _silent), TOKENS, 1, cache)
        every = Workbench(whole, Bench.of(whole), encoders, _silent)
        every.read_all(range(len(PACKAGES)))
        yield lambda task: replace(every, config=task, bench=Bench.of(task))


def measure(run: Path, seed: int, shots: Sequence[int], cache: Path) -> dict[int, Found]:
    """Return how each way to answer did on the test texts of one seed, by labels of a class."""
    with reading(run, seed, cache) as work_on:
        tasks = {count: task_of(run, read_once(cache), seed, count) for count in shots}
        models = range(len(PACKAGES))
        return {count: all_ways(work_on(task), models) for count, task in tasks.items()}


def _silent(_: str) -> None:
    return


def main(
    runs: Annotated[Path, typer.Argument(help="Folder of finished runs, seed-0, seed-1, ….")],
    seeds: Annotated[int, typer.Option(min=2, help="Runs that are used, from the first.")] = 5,
    shots: Annotated[str, typer.Option(help="Labelled texts of each class.")] = "8,16,32",
    cache: Annotated[Path, typer.Option(help="Folder of embeddings.")] = Path("runs/specialists"),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Measure every way to answer under every seed; write a page and a picture."""
    counts = [int(count) for count in shots.split(",")]
    found: dict[int, list[Found]] = {count: [] for count in counts}
    for seed in range(seeds):
        for count, one in measure(runs / f"seed-{seed}", seed, counts, cache).items():
            found[count].append(one)
            typer.echo(f"seed {seed}, {count} labels a class: {one.ways[FUSED]}")
    results.mkdir(parents=True, exist_ok=True)
    draw(found).savefig(results / "specialists.png", dpi=120)
    typed = f"python -m experiments.studies.tasks.specialists RUNS --seeds {seeds} --shots {shots}"
    told = head(typed, TEXTS, TOKENS, seeds, BUDGET)
    parts = [page(mine, count) for count, mine in found.items()]
    path = results / "specialists.md"
    path.write_text(told + "\n".join(parts), encoding="utf-8")
    typer.echo(str(path))


if __name__ == "__main__":
    typer.run(main)
