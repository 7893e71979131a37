"""Compare exchanges in several topologies: quality against bytes, with lone agents as baseline.

The arms are in ``exchange.yaml``. The study begins with a gate: one encoder trained on all text, with as many
operations as all agents together, must beat training alone by three times the half-width of the gap's
confidence interval; otherwise arms could not be told apart and the study stops. Then every arm runs in every
topology under five seeds. The results are one table for each topology and a chart.

    python -m experiments.studies.exchange newsgroups=train.parquet docstrings --jobs 2

Runs that have finished are not repeated, so an interrupted study continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agentos.config.load import apply_overrides, set_fields
from agentos.reporting.pictures import save
from agentos.reporting.statistics import HEADROOM, Headroom, headroom
from agentos.sweep.config import SweepConfig, load_sweep, validated
from agentos.sweep.execute import Folder, jobs_for
from agentos.sweep.plan import plan
from agentos.sweep.rows import RESULTS, read_table
from experiments.studies.exchange_results import CENTRALISED, ISOLATED, Study
from experiments.studies.exchange_tables import tables, verdict
from experiments.studies.pareto import draw, write_page
from experiments.studies.running import chosen, command, run
from protocols.errors import ConfigurationError

FIRST_SEED = 10
"""Smaller seeds were used to choose the setting."""
ARMS = Path(__file__).with_name("exchange.yaml")
GATE = (ISOLATED, CENTRALISED)
QUICK = {"training.rounds": 4, "evaluation.every": 2}


@dataclass(frozen=True)
class Text:
    """A corpus: fields that it sets in every run, and metrics to compare arms by; the first one gates.

    Attributes:
        fields, metrics: see above.
        needs_file: whether the text is a file that the command names.
        classes: number of its labels, for studies of labels.
    """

    fields: Mapping[str, Any]
    metrics: tuple[str, ...]
    needs_file: bool = False
    classes: int = 0


TEXTS = {
    "newsgroups": Text(
        {
            "data.source": {"kind": "parquet", "path": "", "text": "text", "label": "label"},
            "data.heldout": 0.92,
            "data.heldout_limit": 10_000,
            "evaluation.tasks": ["probe", "knn"],
        },
        ("probe_accuracy",),
        needs_file=True,
    ),
    "docstrings": Text(
        {
            "data.source": {
                "kind": "docstrings",
                "packages": ["torch", "scipy", "sklearn", "sympy", "pandas", "ray"],
            },
            "data.heldout": 0.95,
            "data.heldout_limit": 100_000,
            "evaluation.tasks": ["retrieval", "probe"],
        },
        ("mrr", "probe_accuracy"),
    ),
}


def fields_of(corpus: str, texts: Mapping[str, Text]) -> tuple[str, dict[str, Any]]:
    """Return the name of a corpus, and the fields of a run that it sets.

    Args:
        corpus: a name, or ``NAME=FILE`` if the text needs a file.
        texts: texts by name.

    Raises:
        ConfigurationError: there is no such corpus.
    """
    name, _, path = corpus.partition("=")
    text = texts.get(name)
    if text is None or text.needs_file != bool(path):
        raise ConfigurationError(
            f"{corpus!r} is not a corpus of the study",
            expected=", ".join(f"{n}=FILE" if t.needs_file else n for n, t in texts.items()),
            hint="name a Parquet file with the columns text and label, or docstrings",
        )
    return name, {**text.fields, **({"data.source.path": path} if path else {})}


def sweep_of(corpus: str, *, seeds: int, quick: bool, overrides: Sequence[str] = ()) -> SweepConfig:
    """Return the sweep of a corpus.

    Args:
        corpus: ``docstrings``, or ``newsgroups=FILE`` with a Parquet file of columns text and label.
        seeds: number of seeds.
        quick: whether to train for a third of the rounds only.
        overrides: fields of the base run to change.

    Raises:
        ConfigurationError: there is no such corpus.
    """
    name, fields = fields_of(corpus, TEXTS)
    values = load_sweep(ARMS).model_dump()
    base = set_fields(values["base"], {**fields, **(QUICK if quick else {})})
    changed = {
        "name": f"exchange-{name}",
        "base": apply_overrides(base, overrides),
        "seeds": range(FIRST_SEED, FIRST_SEED + seeds),
    }
    return validated({**values, **changed}, str(ARMS))


def gate(study: Study) -> Headroom:
    """Return the headroom of the study.

    Raises:
        ConfigurationError: the runs of the gate have failed.
    """
    alone, everything = study.arm(ISOLATED), study.arm(CENTRALISED)
    if alone is None or everything is None:
        raise ConfigurationError("the runs of the gate have failed", hint="see their logs")
    seeds = sorted(alone.runs.keys() & everything.runs.keys())
    return headroom(alone.values(study.mean, seeds), everything.values(study.mean, seeds))


def headroom_text(found: Headroom) -> str:
    """Return the result of the gate as a sentence."""
    least = HEADROOM * found.gap.half_width
    return (
        f"Headroom: centralised minus isolated is {found.gap.mean:.3f} ± {found.gap.half_width:.3f}; "
        f"required are {HEADROOM:.0f} half-widths, {least:.3f}: {'enough' if found.enough else 'too little'}."
    )


def write_results(study: Study, name: str, origin: str, results: Path) -> Path:
    """Write the tables and the chart; return the Markdown file.

    Args:
        study: the arms, under one metric.
        name: name of the corpus, followed by an underscore and the metric unless it is the corpus's first.
        origin: the command that the figures come from.
        results: folder to write to.
    """
    corpus, _, metric = name.partition("_")
    title = f"Exchanges on {corpus}" + (f", {metric.replace('_', ' ')}" if metric else "")
    picture = results / f"exchange_{name}.png"
    save(draw(study, title), picture)
    seeds = max(len(arm.runs) for arm in study.arms)
    text = (
        f"# {title}\n\n`{origin}`\n\n{headroom_text(gate(study))}\n\n{verdict(study)}\n\n"
        f"Quality is {study.metric}, over {seeds} seeds: mean ± half-width of a 95 % Student interval. Gap "
        "closed: (arm - isolated) / (centralised - isolated) with a 95 % percentile bootstrap over paired "
        "seeds, and the same relative to isolated agents that read the anchors as text. Bytes: serialised, "
        "all deliveries in both directions. Tokens and FLOPs: all agents, anchors included. p: paired t "
        "tests against DiLoCo and FedAvg under a master, Holm-corrected within each table; with few seeds "
        "they assume normal differences.\n\n"
        f"![Quality against bytes]({picture.name})\n\n{tables(study)}\n"
    )
    path = results / f"exchange_{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def main(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings.")
    ],
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 5,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; default: one per core.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train for a third of the rounds, to try the study out.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="An arm or a topology; repeatable.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(metavar="KEY.PATH=VALUE", help="A field of the base run.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/exchange"),
    results: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Compare exchanges; write tables and a chart for each corpus."""
    console = Console()
    for corpus in corpora:
        name = corpus.partition("=")[0]
        planned = plan(sweep_of(corpus, seeds=seeds, quick=quick, overrides=override or ()))
        wanted = chosen(planned, only or ())
        folder = Folder(runs / name, planned)
        workers = jobs or jobs_for(wanted)
        run(console, folder, [run for run in planned if run.arm in GATE], workers)
        metric, *further = TEXTS[name].metrics
        found = gate(Study.of(read_table(folder.path / RESULTS), metric))
        console.print(headroom_text(found), highlight=False)
        if not found.enough:
            raise typer.Exit(1)
        run(console, folder, wanted, workers)
        rows = read_table(folder.path / RESULTS)
        study = Study.of(rows, metric)
        write_page(study, f"Exchanges on {name}", folder.path / "pareto.html")
        paths = [write_results(study, name, command("exchange"), results)]
        for other in further:
            by_other = Study.of(rows, other)
            paths.append(write_results(by_other, f"{name}_{other}", command("exchange"), results))
        for path in paths:
            console.print(f"tables: {path}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
