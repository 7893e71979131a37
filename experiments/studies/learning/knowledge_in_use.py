"""Measure what answers gain by the nearest claims of a knowledge base, and what counts as novel text.

    python -m experiments.studies.learning.knowledge_in_use newsgroups=train.parquet docstrings

A society meets the streams of experiments.studies.learning.learner_streams, keeps what it learns as claims,
and answers by the trained classifier alone or mixed with the nearest claims. In a stream by label every text
of an episode has a label that is new; by time nearly none has. Lives that have finished are not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from agentos.learning.config import LifeConfig
from agentos.learning.life import Life, LifeListener
from agentos.learning.life_records import LifeRecord
from agentos.learning.outcome.recorded_matrix import is_finished, matrix_of
from agentos.reporting.statistics import holm, interval, paired_p
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown
from experiments.studies.learning.learner_streams import (
    ARMS,
    FIRST_SEED,
    TEXTS,
    life_of,
    sample,
)
from experiments.studies.running import command

LEARNERS = ("none", "er")
USES: Mapping[str, dict[str, Any] | None] = {"classifier": None, "with claims": {"kind": "knn"}}
ALPHA = 0.05
Key = tuple[str, str]


class Figures(NamedTuple):
    """Accuracies of a life, and the share of novel documents in the episodes after the first."""

    final: float
    backward: float
    novel: float


def life(corpus: str, source: Path, learner: str, use: str, seed: int) -> LifeConfig:
    """Return the life of a learner that answers in a way."""
    values = life_of(ARMS[learner], TEXTS[corpus], source, seed).model_dump(by_alias=True)
    values |= {"head": "trained", "novelty": {"alpha": ALPHA}, "knowledge": {}, "use": USES[use]}
    return LifeConfig.model_validate(values)


def figures(config: LifeConfig, directory: Path) -> Figures:
    """Return the figures of a life, which is lived if it has not been."""
    record: LifeRecord = Life(config, directory, LifeListener()).run()
    assert is_finished(record)
    matrix = matrix_of(record)
    novel = [each.novel for each in record.episodes[1:] if each.novel is not None]
    return Figures(matrix.final_accuracy, matrix.backward_transfer, float(np.mean(novel)))


def table(found: Mapping[str, Mapping[Key, Sequence[Figures]]]) -> str:
    """Return a row for each corpus, learner and way to answer."""
    claims, alone = "with claims", "classifier"
    pairs = [
        [[getattr(one, name) for one in each[learner, use]] for use in (claims, alone)]
        for each in found.values()
        for learner in LEARNERS
        for name in ("final", "backward")
    ]
    corrected = iter(holm([paired_p(first, second) for first, second in pairs]))
    rows = []
    for corpus, each in found.items():
        for (learner, use), mine in each.items():
            row = [corpus, learner, use]
            for name in ("final", "backward"):
                values = [getattr(one, name) for one in mine]
                row.append(_spread(values))
                if use == alone:
                    row += ["–", "–"]
                else:
                    before = [getattr(one, name) for one in each[learner, alone]]
                    row += [
                        _spread(np.subtract(values, before).tolist(), "+"),
                        f"{next(corrected):.2g}",
                    ]
            rows.append([*row, _spread([one.novel for one in mine])])
    head = ("stream", "learner", "answers by", "final accuracy", "gain", "p")
    return markdown((*head, "backward transfer", "gain", "p", "novel"), rows)


def _spread(values: Sequence[float], sign: str = "") -> str:
    found = interval(list(values))
    return f"{found.mean:{sign}.3f} ± {found.half_width:.3f}"


def main(
    corpora: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="newsgroups=FILE.parquet, docstrings, newsgroups_by_time=FILE.parquet.",
        ),
    ],
    seeds: Annotated[int, typer.Option(min=2, help="Streams of each learner.")] = 5,
    first_seed: Annotated[int, typer.Option(help="Seed of the first stream.")] = FIRST_SEED,
    runs: Annotated[Path, typer.Option(help="Folder of the lives.")] = Path("runs/streams"),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Live what is missing of the study, and write the page."""
    found: dict[str, dict[Key, list[Figures]]] = {}
    for corpus in corpora:
        name, _, path = corpus.partition("=")
        source = sample(name, path, runs)
        mine = found.setdefault(name, {})
        for seed in range(first_seed, first_seed + seeds):
            for learner in LEARNERS:
                for use in USES:
                    directory = runs / "lives" / f"{name}-{learner}-{use.replace(' ', '-')}-{seed}"
                    one = figures(life(name, source, learner, use, seed), directory)
                    mine.setdefault((learner, use), []).append(one)
                    typer.echo(f"{name}, {learner}, {use}, seed {seed}: {one}")
    page = (
        f"# Answers by claims, and novel text\n\n`{command('learning.knowledge_in_use')}`\n\n"
        f"Two agents, {seeds} paired seeds (orders of the labels, divisions, weights), mean ± half-width "
        "of a 95 % Student interval, p of paired t tests corrected by Holm over the table. "
        "*classifier*: the one that the labels train; *with claims*: mixed with the labels of the 16 "
        "nearest accepted claims, by a weight that is chosen on a fifth of the labelled texts, which is "
        "kept out of training and of claims. *novel*: share of the documents of later episodes that are "
        f"novel at alpha {ALPHA} to the society that was accepted last: by label all have new labels, by "
        "time nearly none has.\n\n"
        f"{table(found)}\n"
    )
    (results / "knowledge_in_use.md").write_text(page, encoding="utf-8")
    typer.echo(page)


if __name__ == "__main__":
    typer.run(main)
