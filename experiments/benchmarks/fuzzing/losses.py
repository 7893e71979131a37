"""Try what strangers, failing disks and killed processes do to the program, and count what is lost.

``python -m experiments.benchmarks.fuzzing.losses``

Inputs are mutated and read as in `experiments.benchmarks.fuzzing.fuzz`: messages, checkpoints, records, run
folders, links out of them, encoders, configurations, files of data, and bombs. Runs are killed at steps on
the disk as in `experiments.benchmarks.fuzzing.crash_points`, and struck as in
`experiments.benchmarks.fuzzing.ray_faults`. An input is taken, or refused with the program's
own error. It is lost if anything else happens: another exception or a warning, a change outside the folder
that was handed over, more memory or more time than the bound, or a run that ends with other metrics.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from experiments.benchmarks.fuzzing.crash_points import (
    Tried,
    settings,
    try_setting,
    without_reports,
    write_corpus,
)
from experiments.benchmarks.fuzzing.fuzz import TARGETS, Outcome, fuzz, kept
from experiments.benchmarks.fuzzing.ray_faults import FAULTS, strike_all

RESULTS = Path(__file__).parents[2] / "results" / "losses.md"
INPUTS = {
    "messages": 2000,
    "checkpoints": 500,
    "records": 500,
    "run folders": 200,
    "links": 100,
    "encoders": 100,
    "configurations": 300,
    "files of data": 1000,
    "bombs": 60,
}
KILLED, STRUCK = "runs killed at a step", "faults of Ray"


def main(
    share: Annotated[float, typer.Option(help="Share of the inputs; 1 is some thousands.")] = 1.0,
    points: Annotated[int, typer.Option(help="Steps at which runs of each setting end.")] = 2,
    only: Annotated[list[str] | None, typer.Option(help="Kinds; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every input.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes that read.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
    keep: Annotated[Path, typer.Option(help="Folder for findings.")] = Path("build/findings"),
) -> None:
    """Try everything that is hostile, and fail if anything is lost."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    wanted = set(only or (*INPUTS, KILLED, STRUCK))
    with ProcessPoolExecutor(jobs, get_context("fork"), _silently) as pool:
        reading = {
            name: pool.submit(fuzz, name, seed, 0, max(1, round(share * inputs)), True)
            for name, inputs in INPUTS.items()
            if name in wanted
        }
        killed = _kill(points, seed) if KILLED in wanted else []
        struck = _strike() if STRUCK in wanted else []
        outcomes: dict[str, Outcome] = {}
        for name, each in reading.items():
            outcomes[name] = each.result()
            _say(f"{name}: {dict(outcomes[name].counts)}")
    command = shlex.join(["python", "-m", "experiments.benchmarks.fuzzing.losses", *sys.argv[1:]])
    text = table(outcomes, killed, struck, command)
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    runs = [*killed, *struck]
    lost = kept(outcomes.values(), keep) or any(each.outcome != "same" for each in runs)
    raise typer.Exit(lost)


def _silently() -> None:
    logging.disable(logging.WARNING)


def _kill(points: int, seed: int) -> list[Tried]:
    without_reports()
    tried: list[Tried] = []
    with TemporaryDirectory() as name:
        write_corpus(Path(name) / "corpus.jsonl")
        for setting in settings():
            tried += try_setting(setting, points, seed, Path(name))
            _say(f"{setting}: {[each.outcome for each in tried if each.setting == setting]}")
    return tried


def _strike() -> list[Tried]:
    with TemporaryDirectory() as folder:
        return strike_all(list(FAULTS), Path(folder), _say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def table(
    outcomes: Mapping[str, Outcome], killed: list[Tried], struck: list[Tried], command: str
) -> str:
    """Return tries and losses by kind, in Markdown."""
    lines = [
        "# Tries and losses",
        "",
        f"`{command}`. Taken: read and used, or a run that "
        " ended, or went on, to the metrics of one left alone. Refused: with the program's own error. "
        "Lost: another exception or a warning, a change outside the folder, more memory or time than the "
        "bound, or other metrics. Times are the processor's.",
        "",
        "| kind | tries | taken | refused | lost | slowest | bound | memory bound |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    total = lost = 0
    for name, outcome in outcomes.items():
        tries, findings = outcome.counts.total(), len(outcome.findings)
        refused = sum(n for what, n in outcome.counts.items() if what.startswith("refused"))
        target = TARGETS[name]
        lines.append(
            f"| {name} | {tries:,} | {outcome.counts['taken']:,} | {refused:,} | {findings} | "
            f"{outcome.slowest_s:.1f} s | {target.most_s:.0f} s | {target.headroom_mb} MB |"
        )
        total, lost = total + tries, lost + findings
    for name, runs in ((KILLED, killed), (STRUCK, struck)):
        wrong, settings = (
            sum(each.outcome != "same" for each in runs),
            {run.setting for run in runs},
        )
        if runs:
            what = f"{name}, {len(settings)} settings"
            lines.append(f"| {what} | {len(runs)} | {len(runs) - wrong} | 0 | {wrong} | | | |")
        total, lost = total + len(runs), lost + wrong
    lines.append(f"| all | {total:,} | | | {lost} | | | |")
    found = [error for outcome in outcomes.values() for _, error in outcome.findings]
    wrong_runs = [each for each in (*killed, *struck) if each.outcome != "same"]
    found += [f"{each.setting}, step {each.step}: {each.outcome}" for each in wrong_runs]
    return "\n".join([*lines, "", *(f"- {each}" for each in found)]).rstrip() + "\n"


if __name__ == "__main__":
    typer.run(main)
