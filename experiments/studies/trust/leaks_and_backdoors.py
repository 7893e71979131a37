"""Measure what each exchange gives away, its quality and bytes, and how far a backdoor travels.

    python -m experiments.studies.trust.leaks_and_backdoors --jobs 2 --newsgroups FILE

FILE is a Parquet file of labelled text (columns text and label). Every run is measured once and kept in a
file of results, so that the command continues where it was interrupted; the page and the picture are written
from what is there, ``--minutes 0`` alone from what was measured before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.trust.cells import Cell, backdoor_cells, leak_cells, measure
from experiments.studies.trust.trust_page import Row, write_page

Figures = dict[str, dict[str, float]]


def main(
    newsgroups: Annotated[
        Path | None, typer.Option(help="Parquet file of text and label; docstrings alone without.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every cell.")] = 3,
    part: Annotated[str, typer.Option(help="Only runs of the part leak or backdoor.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, of one thread each.")] = 1,
    minutes: Annotated[float, typer.Option(min=0, help="Begin no run after so many.")] = 1e9,
    kept: Annotated[Path, typer.Option(help="File of the results so far.")] = Path("trust.jsonl"),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Run what is missing, and write the page."""
    cells = plan(newsgroups, seeds)
    done = read(kept)
    missing = [cell for cell in cells if cell.key not in done and part in ("", cell.part)]
    for number, (cell, found) in enumerate(measured(missing, jobs, minutes), 1):
        typer.echo(f"{number} of {len(missing)}: {cell.key}: {found['seconds']:.1f} s")
        done[cell.key] = found
        with kept.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": cell.key, **found}) + "\n")
    rows = [
        Row(cell.part, cell.names, cell.seed, done[cell.key]) for cell in cells if cell.key in done
    ]
    named = "" if newsgroups is None else f" --newsgroups {newsgroups.name}"
    origin = f"python -m experiments.studies.trust.leaks_and_backdoors --seeds {seeds}{named}"
    typer.echo(write_page(rows, len(cells), origin, results))


def plan(newsgroups: Path | None, seeds: int) -> list[Cell]:
    """Return all runs, seed by seed."""
    packages = ["pydantic", "datasets", "fsspec", "jinja2"]
    corpora: dict[str, dict[str, object]] = {
        "docstrings": {"kind": "docstrings", "packages": packages}
    }
    if newsgroups is not None:
        source: dict[str, object] = {"kind": "parquet", "path": str(newsgroups), "label": "label"}
        corpora = {**corpora, "newsgroups": source}
    return [
        cell
        for seed in range(1, seeds + 1)
        for cell in (*backdoor_cells(seed), *leak_cells(corpora, seed))
    ]


def measured(
    cells: Sequence[Cell], jobs: int, minutes: float
) -> Iterator[tuple[Cell, dict[str, float]]]:
    """Measure cells in processes of their own; yield each with its figures as it ends."""
    ends, left = time.monotonic() + 60 * minutes, iter(cells)
    running: dict[Future[dict[str, float]], Cell] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        while True:
            while len(running) < jobs and time.monotonic() < ends:
                cell = next(left, None)
                if cell is None:
                    break
                running[pool.submit(timed, cell)] = cell
            if not running:
                return
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(ended), ended.result()


def timed(cell: Cell) -> dict[str, float]:
    """Return the figures of a cell, and the seconds that they took."""
    began = time.monotonic()
    return {**measure(cell), "seconds": round(time.monotonic() - began, 1)}


def read(kept: Path) -> Figures:
    """Return the figures of a file of results, by cell; a line that was cut off is left out."""
    found: Figures = {}
    if kept.exists():
        for line in kept.read_text("utf-8").splitlines():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[values.pop("key")] = values
    return found


if __name__ == "__main__":
    typer.run(main)
