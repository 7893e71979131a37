"""Measure what a society of specialists gains over its best agent when it answers a task together.

    python -m experiments.studies.tasks.specialists RUNS

RUNS holds finished runs of experiments.studies.cooperation.first_run, one a seed: their six agents have the
docstrings of one library each. The task: which library is a docstring of? Heads are fitted on a few labelled
texts, everything is chosen on other texts, and measured once on a third part. The baselines
are words alone, the best agent alone, and a head on the embeddings of all agents side by side, whose bytes
are those of the embeddings that the others would send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import bytes_text, count_text
from agentos.runtime.local import LocalRuntime
from agentos.tasks.config import Task
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.fitted_society import SINGLE, FittedSociety
from agentos.tasks.solving.words_alone import lexical_probabilities
from agentos.tasks.solving.workbench import Bench, Workbench, cards_of
from agents.answering import Examples
from agents.answering.answers import Split
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown

PACKAGES = ["torch", "scipy", "sklearn", "sympy", "pandas", "ray"]
TEXTS, TOKENS, BUDGET = 3000, 32, 0.3
CASCADES = ("learned", "confidence", "conformal", "random")
BASELINE = SINGLE
COMPARED = (
    ("master_slave", SINGLE, "The society beats its best agent"),
    ("master_slave", "side by side", "Fused answers match a head on all embeddings side by side"),
    ("layers, learned", "layers, confidence", "Learned deferral beats confidence"),
    ("layers, learned", "layers, random", "Learned deferral beats chance"),
    ("master_slave", "words", "The society beats words alone"),
)


class Measured(NamedTuple):
    """One way to answer under one seed: accuracy, and FLOPs and bytes of a text."""

    accuracy: float
    flops: float
    payload_bytes: float


def task_of(run: Path, seed: int, shots: int, deferral: str = "learned") -> Task:
    """Return the task for the agents of a run."""
    values: dict[str, Any] = {
        "name": "specialists",
        "seed": seed,
        "library": {"runs": [str(run)]},
        "task": {
            "kind": "classify",
            "source": {"kind": "docstrings", "packages": PACKAGES},
            "shots": shots,
            "max_length": TOKENS,
            "limit": TEXTS,
        },
        "select": {"kind": "linear", "top": len(PACKAGES)},
        "defer": {"kind": deferral, "budget": BUDGET},
    }
    return Task.model_validate(values)


def measure(run: Path, seed: int, shots: int, cache: Path) -> dict[str, Measured]:
    """Return how each way to answer did on the test texts of one seed."""
    task = task_of(run, seed, shots)
    bench = Bench.of(task)
    with LocalRuntime().open(len(PACKAGES)) as session:
        encoders = Encoders(session, cards_of(task.library, _silent), TOKENS, 1, cache)
        work = Workbench(task, bench, encoders, _silent)
        models = work.select().models
        work.read_all(models)
        society, order = work.fit(models)
        found = {
            name: _answered(work, society, order, name) for name in (SINGLE, "master_slave", "peer")
        }
        for deferral in CASCADES:
            config = task_of(run, seed, shots, deferral)
            other, places = replace(work, config=config).fit(models)
            found[f"layers, {deferral}"] = _answered(work, other, places, "layered")
        return {"words": _words(bench), "side by side": _side_by_side(work, order), **found}


def _answered(work: Workbench, society: FittedSociety, order: list[int], name: str) -> Measured:
    queries = work.bench.queries("test")
    outcome = society.answer(queries, work.embed(order), name)
    right = outcome.answers.right(work.bench.codes[queries.ids])
    return Measured(
        float(right.mean()), float(outcome.flops.mean()), float(outcome.payload_bytes.mean())
    )


def _words(bench: Bench) -> Measured:
    fit, test = bench.rows("fit"), bench.rows("test")
    texts = [[" ".join(each) for each in bench.texts(rows)] for rows in (fit, test)]
    found = lexical_probabilities(texts[0], bench.codes[fit], texts[1], TOKENS)
    return Measured(float((found.argmax(axis=1) == bench.codes[test]).mean()), 0.0, 0.0)


def _side_by_side(work: Workbench, order: Sequence[int]) -> Measured:
    bench, flops = work.bench, 0.0
    parts: dict[str, np.ndarray] = {}
    splits: tuple[Split, ...] = ("fit", "test")
    for split in splits:
        rows = bench.rows(split)
        read = [work.features(model, rows) for model in order]
        parts[split] = np.concatenate([each.features for each in read], axis=1)
        flops = sum(
            float(each.tokens.mean()) * work.encoders.cards[model].flops(TOKENS)
            for model, each in zip(order, read, strict=True)
        )
    fit, test = bench.rows("fit"), bench.rows("test")
    examples = Examples("fit", fit, parts["fit"])
    head = work.config.adapt.fit(examples, bench.codes[fit], len(bench.classes))
    answers = head.answer(Examples("test", test, parts["test"]), "0" * 32)
    sent = 4.0 * parts["test"].shape[1] * (len(order) - 1) / len(order)
    return Measured(float(answers.right(bench.codes[test]).mean()), flops + head.flops, sent)


def _silent(_: str) -> None:
    return


def page(found: Sequence[dict[str, Measured]], shots: int) -> str:
    """Return the tables of one number of labels."""
    rows = []
    for name in found[0]:
        mine = [each[name] for each in found]
        accuracy = interval([one.accuracy for one in mine])
        gain = interval([one[name].accuracy - one[BASELINE].accuracy for one in found])
        shown = f"{100 * gain.mean:+.1f} ± {100 * gain.half_width:.1f}"
        rows.append(
            [
                name,
                f"{100 * accuracy.mean:.1f} ± {100 * accuracy.half_width:.1f}",
                "–" if name == BASELINE else shown,
                count_text(float(np.mean([one.flops for one in mine]))),
                bytes_text(float(np.mean([one.payload_bytes for one in mine]))),
            ]
        )
    head = ("answered by", "accuracy, %", "over the best agent, points", "FLOPs", "bytes")
    return f"## {shots} labels a class\n\n{markdown(head, rows)}\n\n{_claims(found)}\n"


def _claims(found: Sequence[dict[str, Measured]]) -> str:
    pairs = [
        ([one[a].accuracy for one in found], [one[b].accuracy for one in found])
        for a, b, _ in COMPARED
    ]
    corrected = holm([paired_p(first, second) for first, second in pairs])
    rows = []
    for (a, b, claim), (first, second), p in zip(COMPARED, pairs, corrected, strict=True):
        gain = interval(np.subtract(first, second).tolist())
        shown = f"{100 * gain.mean:+.1f} ± {100 * gain.half_width:.1f}"
        rows.append([claim, f"{a} − {b}", shown, f"{p:.3g}"])
    return markdown(("claim", "compared", "points", "p (Holm)"), rows)


def main(
    runs: Annotated[Path, typer.Argument(help="Folder of finished runs, seed-0, seed-1, ….")],
    seeds: Annotated[int, typer.Option(help="Runs that are used, from the first.")] = 10,
    shots: Annotated[str, typer.Option(help="Labelled texts of each class.")] = "8,16,32",
    cache: Annotated[Path, typer.Option(help="Folder of embeddings.")] = Path("runs/specialists"),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Measure every way to answer under every seed; write a page."""
    parts = []
    for count in map(int, shots.split(",")):
        found = []
        for seed in range(seeds):
            found.append(measure(runs / f"seed-{seed}", seed, count, cache))
            typer.echo(f"{count} labels a class, seed {seed}: {found[-1]['master_slave']}")
        parts.append(page(found, count))
    text = (
        "# Specialists that answer together\n\n"
        f"`python -m experiments.studies.tasks.specialists RUNS --seeds {seeds} --shots {shots}`\n\n"
        f"Which of six libraries is a docstring of? {TEXTS:,} texts of {TOKENS} tokens; six nano encoders, "
        f"each trained on the docstrings of one library; {seeds} paired seeds, mean ± half-width of a 95 % "
        "Student interval, p of paired t tests corrected by Holm within a table. FLOPs and bytes are of a "
        f"test text. A level of a cascade passes on at most {BUDGET:.0%}; all agents cost alike here, so a "
        "cascade saves by asking fewer.\n\n"
    )
    results.mkdir(parents=True, exist_ok=True)
    (results / "specialists.md").write_text(text + "\n".join(parts), encoding="utf-8")
    typer.echo(str(results / "specialists.md"))


if __name__ == "__main__":
    typer.run(main)
