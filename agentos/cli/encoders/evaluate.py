"""``agentos eval``: evaluate the encoders that a run exported, or any model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import Among, AsJson, ChangedDataOk, JointWidth, TrustedPlugins

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.evaluation.assess import Assessment

_COLUMNS = 6
"""Most encoders in one table."""


TaskNames = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND[:FILE][,NAME=VALUE]",
        help="A task and its parameters, a task of mteb as mteb:NAME, or your own as package.module:Class; "
        "may be repeated. See agentos list.",
    ),
]
DocumentsFrom = Annotated[
    str | None,
    typer.Option(
        metavar="FILE_OR_RUN",
        help="Documents: .jsonl, .csv, .tsv or .parquet with a column text and optionally label; or a run "
        "folder, YAML file or ready-made run, for its held-out text. Default: the run's own.",
    ),
]
CenterOn = Annotated[
    str | None,
    typer.Option(
        metavar="FILE_OR_RUN",
        help="Texts to fit the mean on, such as queries; documents evaluated on are left out. A file as for "
        "--data, or a run, for its training text. Default: the mean stored with the encoder, if any.",
    ),
]
Whiten = Annotated[
    bool, typer.Option("--whiten", help="Whiten on that text, too; needs --center-on.")
]
Width = Annotated[
    int | None, typer.Option(min=1, help="Directions that whitening keeps; default: all.")
]
Joint = Annotated[
    bool, typer.Option("--joint", help="Evaluate the agents' embeddings side by side, too.")
]


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL",
            help="A run folder, a Hugging Face model folder, or a model's name in the local cache.",
        ),
    ],
    task: TaskNames = None,
    data: DocumentsFrom = None,
    agent: Annotated[
        list[int] | None, typer.Option(help="Agent of the run; may be repeated. Default: all.")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=8, help="Tokens per text; default: as in the folder, otherwise 64."),
    ] = None,
    center_on: CenterOn = None,
    whiten: Whiten = False,
    width: Width = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the tasks; default: the run's, otherwise 0.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the results.")] = None,
    joint: Joint = False,
    among: Among = None,
    pca: JointWidth = None,
    changed_data_ok: ChangedDataOk = False,
    as_json: AsJson = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Evaluate the exported encoders of a run, or a model, on held-out text or on files of your own.

    Example: agentos eval runs/quickstart --task retrieval --task sts:pairs.jsonl --out scores.json

    Example: agentos eval ./minilm --data documents.csv --task probe --task knn:k=5 --center-on train.csv

    Example: agentos eval runs/quickstart --joint --among neighbours --pca 64
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.encoders.assessment import Request, assessed
    from agentos.records.atomic_files import writing

    console = SafeConsole(stderr=as_json)
    with console.status("") as status:
        request = Request(
            target,
            task or [],
            data,
            agent or [],
            max_length,
            seed,
            changed_data_ok,
            center_on=center_on,
            whiten=whiten,
            width=width,
            joint=joint,
            among=among,
            pca=pca,
            trusted=trust_plugins or (),
        )
        found = assessed(request, status.update)
    text = json.dumps({"target": target, **found.as_json()}, indent=2, allow_nan=False)
    if out is not None:  # before anything is printed: the scores took long, and a stream may fail
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        typer.echo(text)
    else:
        show(console, found)
    if out is not None:
        console.print(f"scores: {out}", soft_wrap=True, markup=False, highlight=False)


def show(console: Console, found: Assessment) -> None:
    """Print a row for each metric and a column for each encoder, a few at a time."""
    from rich.markup import escape
    from rich.table import Table

    from agentos.evaluation.assess import JOINT
    from agentos.reporting.statistics import interval, interval_text
    from agentos.reporting.units import metric_text

    labels = "labelled" if found.labelled else "without labels"
    summary = f"{found.documents:,} documents, {labels}, from {found.data}"
    console.print(escape(summary), highlight=False, soft_wrap=True)
    names = list(found.encoders)
    alone = [name for name in names if not name.startswith(JOINT)]
    for start in range(0, len(names), _COLUMNS):
        table = Table()
        table.add_column("task")
        table.add_column("metric")
        for name in names[start : start + _COLUMNS]:
            table.add_column(escape(name), justify="right", overflow="fold")
        if len(alone) > 1:
            mean = "mean of all" if alone == names else "mean alone"
            table.add_column(f"{mean} ± 95 %", justify="right")
        for task, metrics in found.metrics.items():
            for i, metric in enumerate(metrics):
                values = {name: found.encoders[name][task].get(metric.name) for name in names}
                shown = names[start : start + _COLUMNS]
                cells = [metric_text(values[name], metric) for name in shown]
                if len(alone) > 1:
                    known = [v for name in alone if (v := values[name]) is not None]
                    cells.append(interval_text(interval(known), metric))
                table.add_row("" if i else escape(task), f"{metric.title} {metric.arrow}", *cells)
            table.add_section()
        console.print(table)
