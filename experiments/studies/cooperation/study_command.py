"""The command of a study: run what is missing, and write a page and a picture for each text and metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agentos.reporting.pictures import save
from agentos.reporting.units import seconds_text
from agentos.sweep.execute import Folder, jobs_for
from agentos.sweep.plan import Planned, plan
from agentos.sweep.rows import RESULTS, read_table
from experiments.studies.cooperation.cell_chart import draw
from experiments.studies.cooperation.paired_lines import claims_table, table
from experiments.studies.cooperation.program import (
    Program,
    Report,
    seconds_left,
    sweep_of,
    words_rows,
)
from experiments.studies.running import chosen, command, run


def write_results(
    program: Program, report: Report, corpus: str, metric: str, origin: str, results: Path
) -> Path:
    """Write the page and the picture of one metric; return the page.

    Args:
        program: the study.
        report: its tables.
        corpus: name of the text.
        metric: name of the quality.
        origin: the command that the figures come from.
        results: folder to write to.
    """
    results.mkdir(parents=True, exist_ok=True)
    first = program.texts[corpus].metrics[0]
    stem = f"{program.name}_{corpus}" + ("" if metric == first else f"_{metric}")
    title = f"{program.title} on {corpus}, {metric.replace('_', ' ')}"
    seeds = max((len(line.mean) for line in report.lines), default=0)
    parts = [f"# {title}\n\n`{origin}`\n\n{program.explanation.format(seeds=seeds)}"]
    claims = claims_table(program.claims, report.lines) if metric == first else ""
    if claims:
        parts.append(f"### Claims\n\n{claims}")
    if report.panels:
        save(draw(report.panels, metric, title), results / f"{stem}.png")
        parts.append(f"![Mean agent by cell]({stem}.png)")
    parts += [f"### {name}\n\n{table(pairs)}" for name, pairs in report.sections.items() if pairs]
    path = results / f"{stem}.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def command_of(program: Program) -> Callable[..., None]:
    """Return the command line of a study."""

    def main(
        corpora: Annotated[
            list[str],
            typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings."),
        ],
        seeds: Annotated[int, typer.Option(help="Runs of each arm in each cell.")] = 5,
        jobs: Annotated[
            int | None, typer.Option(help="Runs at a time; default: one per core.")
        ] = None,
        quick: Annotated[
            bool, typer.Option("--quick", help="Few steps, to try the study out.")
        ] = False,
        only: Annotated[
            list[str] | None, typer.Option(help="An arm, a cell or a kind of cells; repeatable.")
        ] = None,
        override: Annotated[
            list[str] | None,
            typer.Option(metavar="KEY.PATH=VALUE", help="A field of the base run."),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="List the runs, and stop.")
        ] = False,
        runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
        results: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path(
            "experiments/results"
        ),
    ) -> None:
        """Run what is missing of a study; write a page and a picture for each corpus and metric."""
        console = Console()
        for corpus in corpora:
            name = corpus.partition("=")[0]
            sweep = sweep_of(program, corpus, seeds=seeds, quick=quick, overrides=override or ())
            planned = plan(sweep)
            wanted = chosen(planned, only or ())
            folder = Folder((runs or Path("runs") / program.name) / name, planned)
            workers = jobs or jobs_for(wanted)
            _announce(console, name, folder, wanted, workers, dry_run)
            if dry_run:
                continue
            run(console, folder, wanted, workers)
            rows = read_table(folder.path / RESULTS) + words_rows(program, folder)
            for metric in program.texts[name].metrics:
                report = program.report(rows, metric, planned)
                path = write_results(
                    program, report, name, metric, command(f"cooperation.{program.name}"), results
                )
                console.print(f"page: {path}", soft_wrap=True, markup=False, highlight=False)

    return main


def _announce(
    console: Console, name: str, folder: Folder, runs: Sequence[Planned], jobs: int, listed: bool
) -> None:
    if listed:
        for each in runs:
            console.print(each.label, markup=False, highlight=False)
    needed = seconds_left(folder, runs)
    left = sum(each in folder.unfinished for each in runs)
    console.print(
        f"{name}: {left} of {len(runs)} runs left; about {seconds_text(needed)} of one core, "
        f"{seconds_text(needed / jobs)} with {jobs} at a time",
        highlight=False,
    )
