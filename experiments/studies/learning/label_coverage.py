"""Measure how many texts get a label of a stated precision: by a committee, one agent, words, and cleanlab.

    python -m experiments.studies.learning.label_coverage runs/quickstart-20261130-084740 --seeds 5

The encoders of a finished run stay as they are. Each agent fits a head to its share of the labelled texts;
other labelled texts calibrate the confidence above which labels are used. Every way to label goes through the
same calibration, so that rows differ in their confidence alone.

Legend: N texts, K classes.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from agentos.config.load import load
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.learning.labelling import Committee, Own
from agentos.learning.labelling.base import AutomaticLabels
from agentos.learning.transfer.elder_society import encoders_in
from agentos.records.layout import CONFIG
from agentos.reporting.statistics import interval
from agentos.simulation.preparation import prepare_corpus
from agents.answering import Answers, Examples
from agents.answering.adapt import Linear
from agents.answering.answers import Labels, Split
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.cooperation.lexical_labels import probabilities
from experiments.studies.cooperation.paired_lines import interval_text
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import command
from protocols.seeding import generator

PRECISION, CERTAINTY = 0.95, 0.95
BUDGETS, ASKED = (100, 400), 300
"""Labelled texts of each class, half of them for calibration; and texts of each class without a label."""
READING = (
    "Committees of these small agents abstain: no part of their labels is certain to be 95 % right, though "
    "the most confident tenth was in one more draw. Cleanlab's consensus of the same agents does no better. "
    "Words are sure of nearly half of the texts, once 200 labels of each library fit them and 200 calibrate. "
    "No way reaches 60 % coverage.\n\nThe head was changed from the nearest mean to logistic regression "
    "after a first run of these five draws."
)
HEAD = (
    "labels a class",
    "labels by",
    "coverage",
    "precision",
    "draws of precision",
    "accuracy of all",
)


@dataclass(frozen=True)
class Draw:
    """Texts of one draw, by row of the material.

    Attributes:
        fit: texts that heads are fitted to.
        calibrate: labelled texts that no head was fitted to.
        asked: texts to label.
    """

    fit: Labels
    calibrate: Labels
    asked: Labels


@dataclass(frozen=True)
class Material:
    """Texts with their labels, as every agent embeds them.

    Attributes:
        texts: N texts, equally many of each class.
        labels: `[N]`.
        names: names of the classes.
        embeddings: `[N, D]` of each agent.
    """

    texts: Sequence[str]
    labels: Labels
    names: tuple[str, ...]
    embeddings: Sequence[NDArray[np.float32]]


def material_of(run: Path) -> Material:
    """Read the text of a finished run, and embed it with the encoders that it saved."""
    config = load(str(run / CONFIG))
    corpus = prepare_corpus(config, Listener())
    rows = np.union1d(corpus.train, corpus.heldout)
    labels = np.array([str(label) for label in corpus.labels(rows)])
    names = tuple(sorted(set(labels)))
    wanted = max(BUDGETS) + ASKED
    chosen = [
        generator(0, "study", "labels", name).permutation(rows[labels == name])[:wanted]
        for name in names
    ]
    texts = corpus.texts(np.concatenate(chosen))
    truth = np.repeat(np.arange(len(names)), [len(own) for own in chosen])
    elders = (LoadedEncoder.load(str(each)).plain for each in encoders_in(run))
    return Material(texts, truth, names, [elder.embed(texts) for elder in elders])


def drawn(material: Material, budget: int, seed: int) -> Draw:
    """Draw labelled texts and texts to label, equally many of each class."""
    parts: list[list[Labels]] = [[], [], []]
    for label in range(len(material.names)):
        own = np.flatnonzero(material.labels == label)
        own = generator(seed, "labels", "draw", label).permutation(own)
        cuts = np.split(own[: budget + ASKED], (budget // 2, budget))
        for part, rows in zip(parts, cuts, strict=True):
            part.append(rows)
    return Draw(*(np.concatenate(part) for part in parts))


def agents_answers(material: Material, draw: Draw, split: Split, rows: Labels) -> list[Answers]:
    """Return the answers of every agent, which was fitted to its own share of the labelled texts."""
    count, classes, found = len(material.embeddings), len(material.names), []
    for agent, points in enumerate(material.embeddings):
        own = draw.fit[agent::count]
        head = Linear().fit(Examples("fit", own, points[own]), material.labels[own], classes)
        found.append(head.answer(Examples(split, rows, points[rows]), f"agent-{agent}"))
    return found


def words_answers(material: Material, draw: Draw, split: Split, rows: Labels) -> list[Answers]:
    """Return the answers of TF-IDF with logistic regression on all labelled texts together."""
    texts = [material.texts[row] for row in draw.fit]
    labels = [material.names[material.labels[row]] for row in draw.fit]
    asked = [material.texts[row] for row in rows]
    read = [material.texts[row] for row in (*draw.fit, *draw.asked)]
    found = probabilities(read, texts, labels, asked, material.names)
    no = np.zeros(len(rows), bool)
    return [Answers(split, rows, found, no, no, ("words",))]


def crowdlab(answers: Sequence[Answers]) -> list[Answers]:
    """Return cleanlab's consensus of agents, with its quality as the confidence.

    Source: Goh et al., CROWDLAB: Supervised learning to infer consensus labels and quality scores for data
    with multiple annotators, 2022.
    """
    cleanlab: Any = importlib.import_module("cleanlab.multiannotator")
    votes_NS = np.stack([each.probabilities.argmax(axis=1) for each in answers], axis=1)
    mean_NK = np.mean([each.probabilities for each in answers], axis=0)
    found = cleanlab.get_label_quality_multiannotator(votes_NS, mean_NK, verbose=False)
    quality = found["label_quality"]
    rows_NK = np.zeros_like(mean_NK)
    labels = quality["consensus_label"].to_numpy()
    rows_NK[np.arange(len(labels)), labels] = quality["consensus_quality_score"].to_numpy()
    first = answers[0]
    return [
        Answers(first.split, first.ids, rows_NK, first.abstains, first.in_sample, ("cleanlab",))
    ]


Labelling = Callable[[Mapping[str, Sequence[Answers]]], Sequence[Answers]]


def ways(with_cleanlab: bool) -> dict[str, Labelling]:
    """Return what is compared: whose answers the labels come from."""
    found: dict[str, Labelling] = {
        "committee": lambda by: by["agents"],
        "own": lambda by: by["agents"][:1],
        "words": lambda by: by["words"],
        "committee with words": lambda by: [*by["agents"], *by["words"]],
    }
    if with_cleanlab:
        found["committee by cleanlab"] = lambda by: crowdlab(by["agents"])
    return found


def labelled(
    material: Material, draw: Draw, compared: Mapping[str, Labelling]
) -> dict[str, AutomaticLabels]:
    """Return the labels of the asked texts, each way."""
    parts: tuple[tuple[Split, Labels], ...] = (
        ("calibrate", draw.calibrate),
        ("query", draw.asked),
    )
    by_split = {
        split: {
            "agents": agents_answers(material, draw, split, rows),
            "words": words_answers(material, draw, split, rows),
        }
        for split, rows in parts
    }
    truth = material.labels[draw.calibrate]
    found = {}
    for name, way in compared.items():
        kind = Own if name == "own" else Committee
        labeller = kind(precision=PRECISION, certainty=CERTAINTY)
        found[name] = labeller.label(way(by_split["calibrate"]), truth, way(by_split["query"]))
    return found


def table(material: Material, seeds: int, compared: Mapping[str, Labelling]) -> str:
    """Return a Markdown table: a row for each number of labels and way to label."""
    rows = []
    for budget in BUDGETS:
        runs = []
        for seed in range(seeds):
            draw = drawn(material, budget, seed)
            runs.append((material.labels[draw.asked], labelled(material, draw, compared)))
            typer.echo(f"{budget} labels a class, seed {seed}")
        for name in compared:
            rows.append([str(budget), name, *_cells([(t, found[name]) for t, found in runs])])
    return markdown(HEAD, rows)


def _cells(runs: Sequence[tuple[Labels, AutomaticLabels]]) -> list[str]:
    precisions = [found.precision(truth) for truth, found in runs]
    known = [each for each in precisions if each is not None]
    return [
        interval_text(interval([found.coverage for _, found in runs])),
        interval_text(interval(known)) if known else "–",
        f"{sum(each >= PRECISION for each in known)} of {len(known)}",
        interval_text(interval([float((found.labels == truth).mean()) for truth, found in runs])),
    ]


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, whose encoders label.")],
    seeds: Annotated[int, typer.Option(help="Draws of texts.")] = 5,
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Label texts each way, and write the page; cleanlab is left out where it is not installed."""
    material = material_of(run)
    with_cleanlab = importlib.util.find_spec("cleanlab") is not None
    about = (
        f"{len(material.embeddings)} agents of a finished run, {len(material.names)} libraries, {seeds} "
        f"draws of labelled texts and of {ASKED} texts of each library to label. Half of the labelled texts "
        "fit heads (logistic regression), each agent's on its own share, words on all; half calibrate "
        f"the confidence above which a precision of {PRECISION} is certain at {CERTAINTY:.0%}. Coverage: "
        "share of the texts that get a label; precision: share of those that is right. Mean ± half-width of "
        "a 95 % Student interval over draws."
    )
    parts = [
        "# Automatic labels of a stated precision",
        f"`{command('learning.label_coverage')}`",
        about,
    ]
    page = results / "label_coverage.md"
    parts.append(table(material, seeds, ways(with_cleanlab)))
    parts.append(READING)
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    typer.echo(str(page))


if __name__ == "__main__":
    typer.run(main)
