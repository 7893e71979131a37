"""The program of a study: what it compares, which runs that takes, and how long."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agentos.config.load import apply_overrides, set_fields
from agentos.config.run import RunConfig
from agentos.records.atomic_files import write_json
from agentos.sweep.config import SweepConfig, load_sweep, validated
from agentos.sweep.estimate import estimate
from agentos.sweep.execute import Folder
from agentos.sweep.plan import Planned
from agentos.sweep.rows import FINISHED, Row
from experiments.studies.cooperation.cell_chart import Panel
from experiments.studies.cooperation.paired_lines import (
    Claim,
    Line,
    Pair,
)
from experiments.studies.exchange import FIRST_SEED, Text, fields_of

START_S, TOKENS_PER_S = 20.0, 80_000.0
"""Seconds that a run takes to start and to end, and tokens a second, on one core of an AMD EPYC."""
QUICK = {"training.local_steps": 4, "training.warmup_steps": 4, "evaluation.documents": 400}


@dataclass(frozen=True)
class Report:
    """The results of a study under one metric.

    Attributes:
        lines: lines that the claims are about.
        sections: tables by their titles.
        panels: panels of the chart by their titles.
    """

    lines: Sequence[Line]
    sections: Mapping[str, Sequence[Pair]]
    panels: Mapping[str, Panel]


@dataclass(frozen=True)
class Program:
    """A study.

    Attributes:
        name, title: name of its module and files, and title of its pages.
        sweep: its arms and cells.
        texts: corpora.
        claims: sentences to be tested, written before the runs.
        explanation: what its tables show.
        report: makes tables from rows, a metric, and the planned runs.
        words: returns the rows of lexical models in the setting of a run.
        words_arm: the arm whose settings they get.
    """

    name: str
    title: str
    sweep: Path
    texts: Mapping[str, Text]
    claims: Sequence[Claim]
    explanation: str
    report: Callable[[Sequence[Row], str, Sequence[Planned]], Report]
    words: Callable[[RunConfig], list[Row]]
    words_arm: str


def sweep_of(
    program: Program, corpus: str, *, seeds: int, quick: bool = False, overrides: Sequence[str] = ()
) -> SweepConfig:
    """Return the sweep of a corpus; every number of classes in it is that of the corpus.

    Raises:
        ConfigurationError: there is no such corpus.
    """
    name, fields = fields_of(corpus, program.texts)
    values = load_sweep(program.sweep).model_dump()
    classes = program.texts[name].classes
    base = set_fields(
        _with_classes(values["base"], classes), {**fields, **(QUICK if quick else {})}
    )
    changed = {
        "name": f"{program.name}-{name}",
        "base": apply_overrides(base, overrides),
        "arms": _with_classes(values["arms"], classes),
        "seeds": range(FIRST_SEED, FIRST_SEED + seeds),
    }
    return validated({**values, **changed}, str(program.sweep))


def _with_classes(values: Any, classes: int) -> Any:
    """Return nested values with every number called ``classes`` replaced."""
    if isinstance(values, Mapping):
        return {
            key: classes
            if key == "classes" and isinstance(value, int)
            else _with_classes(value, classes)
            for key, value in values.items()
        }
    return (
        [_with_classes(each, classes) for each in values]
        if isinstance(values, (list, tuple))
        else values
    )


def seconds_left(folder: Folder, runs: Sequence[Planned]) -> float:
    """Return about how long the missing runs take one after the other, by the speed of those finished."""
    expected = {run.id: START_S + estimate(run.config).tokens / TOKENS_PER_S for run in runs}
    rows = {run.id: folder.row(run) or {} for run in runs}
    speeds = [
        row["wall_s"] / expected[id] for id, row in rows.items() if row.get("status") == FINISHED
    ]
    left = sum(expected[id] for id, row in rows.items() if row.get("status") != FINISHED)
    return left * (median(speeds) if speeds else 1.0)


def words_rows(program: Program, folder: Folder) -> list[Row]:
    """Return the rows of lexical models in the settings of finished runs; a file keeps them."""
    path = folder.path / "words.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    rows: list[Row] = []
    for each in folder.planned:
        if each.arm != program.words_arm or each in folder.unfinished:
            continue
        if each.id not in known:
            known[each.id] = program.words(each.config)
            write_json(path, known)
        place = {"status": FINISHED, "seed": each.seed} | {
            f"axis.{k}": v for k, v in each.axes.items()
        }
        rows += [{**place, **row} for row in known[each.id]]
    return rows
