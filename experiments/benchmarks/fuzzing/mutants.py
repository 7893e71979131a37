"""Change the program at random places, and see whether the tests of each place notice.

``python -m experiments.benchmarks.fuzzing.mutants --mutants 60``

A mutant differs from the program in one expression: a comparison, an operator, a number, a condition, a
truth value, or a call that is left out. The tests that mirror its file run on a copy of the tree, then those
beside them, then those whose imports lead to its module, the nearest first, until a time is over; then the
slow ones of its mirror, or of its room where it has none. Tests that fail without the mutant, too, do not
count. A mutant that every test passes has survived: a test is missing, or was not reached, or the mutant does
what the program does. Verdicts are kept in a file, one a line, and not sought again: an interrupted command
goes on where it was.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from experiments.benchmarks.fuzzing.code_changes import Change, Mutant, changes_of, mutant_of
from experiments.benchmarks.fuzzing.forked_tests import (
    CPU_S,
    ENDLESS,
    KILLED,
    QUICK,
    SLOW,
    SURVIVED,
    failed,
    outcome_of,
    spent_s,
)
from experiments.benchmarks.fuzzing.importing_tests import PACKAGES, ROOT, suites_of

RESULTS = ROOT / "experiments" / "results" / "mutants.md"
APART = ("agentos/cli/", "agentos/reporting/", "agentos/runtime/ray/", "agents/models/cpu/")
"""Left out: pages and tables, what needs Ray, and tricks whose only effect is time."""
COPIED = (
    *PACKAGES,
    "experiments",
    "tests",
    "docs",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
)
SHOWN_S = 25
"""Time of the processor after which a mutant that no test has noticed is shown to no more test files."""
AT_ONCE = 8
"""Test files that run in one process."""
LIBRARIES = (
    *("msgspec", "networkx", "pandas", "pyarrow.parquet", "pydantic", "rich.console"),
    *("scipy.stats", "sklearn.linear_model", "tokenizers", "torch", "transformers", "yaml"),
)
"""Loaded once; the tests of each mutant run in a fork."""
FAST = ("tests/protocols/test_seeding.py", "tests/agents/training/test_precision.py")
"""Tests that must pass without a mutant."""


@cache
def _every_change() -> list[tuple[str, str, Change]]:
    """Return every change of the program, with a text that no other has, and its file."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            alike: Counter[str] = Counter()
            for change in () if name.startswith(APART) else changes_of(path.read_text("utf-8")):
                text = f"{name} {ast.unparse(change[0])} {change[1]}"
                alike[text] += 1
                found.append((f"{text} {alike[text]}", name, change))
    return found


def drawn(seed: int, count: int) -> list[Mutant]:
    """Draw mutants; most of a draw stays as it is when the program changes elsewhere."""
    chosen = nsmallest(
        count, _every_change(), key=lambda each: sha256(f"{seed} {each[0]}".encode()).digest()
    )
    return [mutant_of(name, (ROOT / name).read_text("utf-8"), change) for _, name, change in chosen]


def verdict(mutant: Mutant, tree: Path, number: int) -> str:
    """Run the tests of a mutant in a copy of the tree.

    Args:
        mutant: what is written into the tree, and taken back.
        tree: the copy.
        number: of the mutant; no two have a file of the same time, by which Python knows what it compiled.

    Returns:
        `KILLED`, `SURVIVED`, or `ENDLESS` where the tests met the bound on the processor's time.
    """
    mirrored, others = suites_of(mutant.path)
    suites = [
        (mirrored, QUICK),
        *((others[at : at + AT_ONCE], QUICK) for at in range(0, len(others), AT_ONCE)),
    ]
    room = Path("tests", mutant.path).parent
    beside = [test for test in others if Path(test).parent == room]
    began = spent_s()
    for tests, marked in [*suites, (mirrored or beside, SLOW)]:
        if not tests or (spent_s() - began > SHOWN_S and marked == QUICK):
            continue
        with _changed(mutant, tree, number):
            outcome = outcome_of(tests, tree, marked)
        if outcome != SURVIVED and outcome_of(failed(tree) or tests, tree, marked) == SURVIVED:
            return outcome
    return SURVIVED


@contextmanager
def _changed(mutant: Mutant, tree: Path, number: int) -> Iterator[None]:
    file = tree / mutant.path
    before, times = file.read_text(encoding="utf-8"), file.stat()
    file.write_text(mutant.source, encoding="utf-8")
    os.utime(file, (number + 1, number + 1))
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        os.utime(file, (times.st_atime, times.st_mtime))


def main(
    mutants: Annotated[int, typer.Option(help="Number of mutants.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed that draws them.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first one to try.")] = 0,
    kept: Annotated[Path, typer.Option(help="File of verdicts.")] = Path("build/mutants.jsonl"),
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
) -> None:
    """Draw mutants, run their tests, and list those that survive."""
    os.environ["OMP_NUM_THREADS"] = "1"
    verdicts = known(kept)
    tried: list[tuple[Mutant, str]] = []
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            path = ROOT / name
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, tree / name)
        for library in LIBRARIES:
            importlib.import_module(library)
        if outcome_of(FAST, tree, QUICK) != SURVIVED:
            raise typer.BadParameter(
                "the tests fail without a mutant: every one would count as killed"
            )
        for number, mutant in enumerate(drawn(seed, first + mutants)[first:], first):
            if str(mutant) not in verdicts:
                began = time.perf_counter()
                verdicts[str(mutant)] = verdict(mutant, tree, number)
                keep(kept, mutant, verdicts[str(mutant)])
                seconds = time.perf_counter() - began
                sys.stdout.write(f"{number} {verdicts[str(mutant)]} {seconds:.0f} s {mutant}\n")
                sys.stdout.flush()
            tried.append((mutant, verdicts[str(mutant)]))
            if out is not None:
                out.write_text(table(tried, seed, first), encoding="utf-8")


def known(path: Path) -> dict[str, str]:
    """Return the verdicts in a file, by mutant."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(json.loads(line) for line in lines)


def keep(path: Path, mutant: Mutant, outcome: str) -> None:
    """Append a verdict to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps([str(mutant), outcome]) + "\n")


def table(tried: Sequence[tuple[Mutant, str]], seed: int, first: int) -> str:
    """Return the counts by package and the survivors, in Markdown."""
    lines = [
        "# Mutants of the program, and the tests that notice them",
        "",
        f"`python -m experiments.benchmarks.fuzzing.mutants --mutants {len(tried)} --seed {seed} "
        f"--first {first}`: one changed expression at a time; its quick tests run. Endless: they met the "
        f"bound of {CPU_S} s of the processor.",
        "",
        f"| package | mutants | {KILLED} | {ENDLESS} | {SURVIVED} |",
        "|---|---:|---:|---:|---:|",
    ]
    for package in (*PACKAGES, ""):
        counts = Counter(each for mutant, each in tried if mutant.path.startswith(package))
        cells = (counts.total(), counts[KILLED], counts[ENDLESS], counts[SURVIVED])
        lines.append(f"| {package or 'all'} | {' | '.join(map(str, cells))} |")
    for outcome in (ENDLESS, SURVIVED):
        named = [
            f"- `{' '.join(str(mutant).split())}`" for mutant, each in tried if each == outcome
        ]
        if named:
            lines += ["", f"{outcome.capitalize()}:", "", *named]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
