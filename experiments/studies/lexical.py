"""Measure the lexical baseline of the study of exchanges: TF-IDF vectors in place of an encoder.

The same tasks on the same held-out documents, cut to as many words as encoders see tokens. Weights of words
come from the training text of all agents, so the baseline corresponds to one encoder on all text.

    python -m experiments.studies.lexical newsgroups=train.parquet docstrings
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from agentos.config.run import RunConfig
from agentos.evaluation.evaluator import Evaluator
from agentos.events import Listener
from agentos.reporting.statistics import interval
from agentos.simulation.preparation import heldout_of, prepare_corpus
from agentos.sweep.plan import plan
from agents.models.text_encoder import FunctionEncoder
from experiments.studies.exchange import TEXTS, sweep_of
from experiments.studies.exchange_results import ISOLATED
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import command


def lexical_scores(config: RunConfig) -> dict[str, float]:
    """Return the metrics of a run's evaluation with TF-IDF vectors for embeddings."""
    corpus = prepare_corpus(config, Listener())
    words = config.evaluation.max_length
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    vectorizer.fit(cut(corpus.texts(corpus.train), words))

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        dense: NDArray[np.float64] = vectorizer.transform(cut(texts, words)).toarray()
        return dense.astype(np.float32)

    evaluator = Evaluator(config.evaluation.tasks, heldout_of(config, corpus), config.seed)
    return evaluator(FunctionEncoder(embed))


def cut(texts: Sequence[str], words: int) -> list[str]:
    """Return the first words of each text."""
    return [" ".join(text.split()[:words]) for text in texts]


def table(corpora: Sequence[str], seeds: int) -> str:
    """Return a Markdown table: a row for each corpus and metric of the study."""
    rows = []
    for corpus in corpora:
        sweep = sweep_of(corpus, seeds=seeds, quick=False)
        runs = [run.config for run in plan(sweep) if run.arm == ISOLATED]
        scores = [lexical_scores(config) for config in runs]
        name = corpus.partition("=")[0]
        for metric in TEXTS[name].metrics:
            found = interval([each[metric] for each in scores])
            rows.append([name, metric, f"{found.mean:.3f} ± {found.half_width:.3f}"])
    return markdown(("corpus", "metric", "TF-IDF"), rows)


def main(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings.")
    ],
    seeds: Annotated[int, typer.Option(help="Seeds of the study, from its first.")] = 5,
    results: Annotated[Path, typer.Option(help="Folder of the table.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Measure the lexical baseline on the study's corpora; write a table."""
    text = (
        f"# The lexical baseline of the study of exchanges\n\n`{command('lexical')}`\n\n"
        "TF-IDF vectors of the same held-out documents, cut to as many words as encoders see tokens, under "
        "the study's own tasks; weights of words from the training text of all agents. "
        f"{seeds} seeds: mean ± half-width of a 95 % Student interval.\n\n{table(corpora, seeds)}\n"
    )
    path = results / "lexical.md"
    path.write_text(text, encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
