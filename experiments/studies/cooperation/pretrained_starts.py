"""Measure whether cooperation pays for agents that begin as one pretrained encoder.

Four agents with adapters of their own read five topics of 20 newsgroups each and know three labels of every
topic. They learn alone, from their own pseudo-labels, from each other's, or average their adapters; all are
also asked for their vote. The baselines are the encoder untrained and
TF-IDF, each with a logistic regression on the same labels. The arms are in ``pretrained_starts.yaml``.

    python -m experiments.studies.cooperation.pretrained_starts train.parquet --encoder ./minilm

Runs that have finished are not repeated, so an interrupted study continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from agentos.config.load import set_fields
from agentos.config.run import RunConfig
from agentos.evaluation.base import unit_rows
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import ABSENT, bytes_text
from agentos.simulation.preparation import heldout_of, prepare_corpus
from agentos.sweep.config import SweepConfig, load_sweep, validated
from agentos.sweep.execute import Folder, jobs_for
from agentos.sweep.plan import plan
from agentos.sweep.rows import FINISHED, RESULTS, Row, read_table
from experiments.studies.exchange_tables import markdown
from experiments.studies.heterogeneous import packaged_encoder
from experiments.studies.running import command, run

ARMS = Path(__file__).with_name("pretrained_starts.yaml")
ALONE, CONTROL = "alone", "self_training"
ACCURACY, VOTE = "own_labels_accuracy", "joint_own_labels_accuracy"
_INVERSE_PENALTY = 100.0
"""Inverse strength of the L2 penalty: with few labels the default makes all answers alike."""

Scores = Mapping[str, Sequence[float]]


def sweep_of(data: Path, encoder: str, seeds: int) -> SweepConfig:
    """Return the sweep.

    Args:
        data: a Parquet file with columns text and label.
        encoder: folder of the pretrained encoder.
        seeds: number of seeds.
    """
    values = load_sweep(ARMS).model_dump()
    fields = {"data.source.path": str(data), "agents.encoder.path": encoder}
    values["base"] = set_fields(values["base"], fields)
    values["seeds"] = range(seeds)
    return validated(values, str(ARMS))


def heads(
    rows: Any,
    labels: Sequence[str],
    owned: Sequence[NDArray[np.int64]],
    tests: Any,
    truth: Sequence[str],
) -> dict[str, float]:
    """Return the accuracy of logistic regressions on features that nothing has trained.

    Args:
        rows: features `[L, D]` of labelled documents, dense or sparse.
        labels: their labels.
        owned: those that each agent has.
        tests: features `[N, D]`.
        truth: their labels.

    Returns:
        ``alone``: mean of the agents, each on its own labels; ``vote``: mean of their probabilities;
        ``pooled``: one model on the labels of all.
    """
    given, expected = np.asarray(labels), np.asarray(truth)

    def answers(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
        found: NDArray[np.float64] = model.fit(rows[chosen], given[chosen]).predict_proba(tests)
        return found

    names = np.unique(given)
    votes = [answers(chosen) for chosen in owned]
    found = {"vote": np.mean(votes, axis=0), "pooled": answers(np.concatenate(owned))}
    own = [float(np.mean(names[vote.argmax(axis=1)] == expected)) for vote in votes]
    right = {
        name: float(np.mean(names[each.argmax(axis=1)] == expected)) for name, each in found.items()
    }
    return {"alone": float(np.mean(own)), **right}


def untrained_scores(config: RunConfig) -> dict[str, dict[str, float]]:
    """Return `heads` on the encoder as it comes, centred by the anchors, and on TF-IDF of all text."""
    corpus = prepare_corpus(config, Listener())
    heldout, length = heldout_of(config, corpus), config.evaluation.max_length
    everyone = np.concatenate(corpus.labelled)
    labels = [str(label) for label in corpus.labels(everyone)]
    owned = np.split(
        np.arange(len(everyone)), np.cumsum([len(rows) for rows in corpus.labelled])[:-1]
    )
    (group,) = config.agents.resolved
    encoder = LoadedEncoder.load(group.encoder.origin, max_length=length)
    centre_D = encoder.embed(corpus.texts(corpus.anchors)).mean(axis=0)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    vectorizer.fit(_cut(corpus.texts(np.union1d(corpus.train, corpus.anchors)), length))

    def embedded(texts: Sequence[str]) -> Any:
        return unit_rows(encoder.embed(texts) - centre_D)

    def counted(texts: Sequence[str]) -> Any:
        return vectorizer.transform(_cut(texts, length))

    return {
        name: heads(
            features(corpus.texts(everyone)),
            labels,
            owned,
            features(heldout.texts),
            heldout.labels or (),
        )
        for name, features in (("untrained encoder", embedded), ("TF-IDF", counted))
    }


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of the arms; gains are paired by seed with self-training."""
    arms = _by_arm(rows)
    control = arms.get(CONTROL, {})
    gains = {
        name: [runs[s][_mean(ACCURACY)] - control[s][_mean(ACCURACY)] for s in runs if s in control]
        for name, runs in arms.items()
        if name not in (ALONE, CONTROL)
    }
    compared = {name: each for name, each in gains.items() if each}
    raw = [paired_p(each, [0.0] * len(each)) for each in compared.values()]
    p_values = dict(zip(compared, holm(raw), strict=True))
    lines = []
    for name, runs in arms.items():
        accuracy, worst, vote = (
            _cell([run[column] for run in runs.values()])
            for column in (_mean(ACCURACY), f"{ACCURACY}.worst", _mean(VOTE))
        )
        gain = compared.get(name)
        sent = float(np.mean([run["payload_bytes"] for run in runs.values()]))
        lines.append(
            [
                *(name, accuracy, worst),
                ABSENT if gain is None else _cell(gain, "+.3f"),
                ABSENT if gain is None else f"{p_values[name]:.3f}",
                vote,
                bytes_text(sent) if sent else "0",
            ]
        )
    head = ("arm", "own labels", "worst agent", "gain over self_training", "p (Holm)")
    return markdown((*head, "vote", "bytes"), lines)


def untrained_table(found: Mapping[str, Scores]) -> str:
    """Return a Markdown table of models that nothing but the labels has trained."""
    rows = [
        [name, *(_cell(values) for values in scores.values())] for name, scores in found.items()
    ]
    return markdown(("logistic regression on", "own labels", "vote", "labels of all"), rows)


def write_results(
    rows: Sequence[Row], found: Mapping[str, Scores], origin: str, results: Path
) -> Path:
    """Write the page."""
    seeds = len({row["seed"] for row in rows if row["status"] == FINISHED})
    page = (
        f"# Agents that begin as one pretrained encoder\n\n`{origin}`\n\n"
        f"{seeds} seeds: mean ± half-width of a 95 % Student interval. Own labels: accuracy of "
        "each agent's own classifier, mean of the agents. Gain: paired by seed, over agents that learn from "
        "their own labels of the anchors. Vote: mean of the agents' probabilities.\n\n"
        f"{table(rows)}\n\n### Without training\n\nThe same labels and the same held-out documents.\n\n"
        f"{untrained_table(found)}\n"
    )
    path = results / "pretrained.md"
    path.write_text(page, encoding="utf-8")
    return path


def _by_arm(rows: Sequence[Row]) -> dict[str, dict[int, Row]]:
    arms: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row["status"] == FINISHED:
            arms.setdefault(row["arm"], {})[row["seed"]] = row
    return arms


def _cut(texts: Sequence[str], words: int) -> list[str]:
    return [" ".join(text.split()[:words]) for text in texts]


def _mean(metric: str) -> str:
    return f"{metric}.mean"


def _cell(values: Sequence[float], form: str = ".3f") -> str:
    found = interval(list(values))
    return f"{found.mean:{form}} ± {found.half_width:.3f}"


def main(
    data: Annotated[Path, typer.Argument(help="A Parquet file with columns text and label.")],
    encoder: Annotated[str | None, typer.Option(help="Folder of a pretrained encoder.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 3,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; default: one per core.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path(
        "runs/pretrained_starts"
    ),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Compare agents alone and together from a pretrained start; write a page."""
    console = Console()
    planned = plan(sweep_of(data, encoder or packaged_encoder(), seeds))
    folder = Folder(runs, planned)
    run(console, folder, planned, jobs or jobs_for(planned))
    each = [untrained_scores(one.config) for one in planned if one.arm == ALONE]
    found = {
        name: {column: [scores[name][column] for scores in each] for column in each[0][name]}
        for name in each[0]
    }
    rows = read_table(folder.path / RESULTS)
    path = write_results(rows, found, command("cooperation.pretrained_starts"), results)
    console.print(f"page: {path}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
