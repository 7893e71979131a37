"""Measure which documents of new labels a detector calls novel on a frozen pretrained encoder.

    python -m experiments.studies.learning.pretrained.pretrained_novelty newsgroups=train.parquet docstrings

Half of the labels are old. The detector of a life knows half of their documents, and another quarter
calibrates it; the last quarter shows its false alarms. Simpler scores go through the same calibration:
distances between TF-IDF vectors, and the largest probability of a classifier. Encoders that begin with random
weights are measured by experiments.studies.learning.knowledge_in_use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from agentos.learning.knowledge.novelty import ConformalKnn
from agentos.reporting.statistics import holm, paired_p
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown
from experiments.studies.learning.pretrained.pretrained_texts import (
    FIRST_SEED,
    LENGTH,
    Corpora,
    Encoder,
    Kept,
    Orders,
    Pages,
    Rows,
    Texts,
    embedded,
    spread,
)
from experiments.studies.lexical import cut
from experiments.studies.running import command
from protocols.seeding import generator

ALPHA = 0.05
OURS = "encoder, nearest texts"
PValues = Callable[[Rows], NDArray[np.float64]]


class Found(NamedTuple):
    """Shares of new and of old labels that are called novel, and the area under the curve of both."""

    new: float
    old: float
    auroc: float


class Parts(NamedTuple):
    """Documents that are known, that calibrate, and that ask: of old and of new labels."""

    known: Rows
    calibration: Rows
    old: Rows
    new: Rows


def divided(codes: Rows, seed: int) -> Parts:
    """Divide documents by an order of their labels."""
    rng = generator(seed, "study", "novelty")
    order = rng.permutation(codes.max() + 1)
    is_old = np.isin(codes, order[: len(order) // 2])
    old = rng.permutation(np.flatnonzero(is_old))
    known, calibration, asked = np.split(old, [len(old) // 2, len(old) * 3 // 4])
    return Parts(known, calibration, asked, np.flatnonzero(~is_old))


def detected(texts: Texts, seed: int) -> dict[str, Found]:
    """Return the figures of each score under an order of the labels."""
    parts = divided(texts.codes, seed)
    words = cut(texts.texts, LENGTH)
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    vectorizer.fit([words[row] for row in parts.known])
    counted = vectorizer.transform(words).toarray()
    ways = {
        OURS: nearest(texts.points, parts),
        "encoder, confidence": confident(texts.points, texts.codes, parts, 10.0),
        "TF-IDF, nearest texts": nearest(counted, parts),
        "TF-IDF, confidence": confident(counted, texts.codes, parts, 1.0),
    }
    return {name: _measured(p_values, parts) for name, p_values in ways.items()}


def nearest(rows_ND: NDArray[np.floating], parts: Parts) -> PValues:
    """Return the p-values of the detector of a life."""
    detector = ConformalKnn(alpha=ALPHA).fit(rows_ND[parts.known], rows_ND[parts.calibration])
    return lambda rows: detector.p_values(rows_ND[rows])


def confident(
    rows_ND: NDArray[np.floating], codes: Rows, parts: Parts, inverse_penalty: float
) -> PValues:
    """Return the p-values of the largest probability of a classifier of the old labels."""
    model = LogisticRegression(C=inverse_penalty, max_iter=1000)
    model.fit(rows_ND[parts.known], codes[parts.known])
    largest_N = model.predict_proba(rows_ND).max(axis=1)
    held = np.sort(largest_N[parts.calibration])

    def p_values(rows: Rows) -> NDArray[np.float64]:
        at_most = np.searchsorted(held, largest_N[rows], side="right")
        return np.asarray((1 + at_most) / (len(held) + 1), np.float64)

    return p_values


def _measured(p_values: PValues, parts: Parts) -> Found:
    new, old = p_values(parts.new), p_values(parts.old)
    truth = np.arange(len(new) + len(old)) < len(new)
    auroc = float(roc_auc_score(truth, -np.concatenate([new, old])))
    return Found(float((new <= ALPHA).mean()), float((old <= ALPHA).mean()), auroc)


def table(found: Mapping[str, Sequence[Mapping[str, Found]]]) -> str:
    """Return a row for each corpus and score; ours is compared with the others."""
    pairs = [(corpus, way) for corpus, runs in found.items() for way in runs[0] if way != OURS]
    raw = [
        paired_p([run[OURS].new for run in found[corpus]], [run[way].new for run in found[corpus]])
        for corpus, way in pairs
    ]
    p_values = dict(zip(pairs, holm(raw), strict=True))
    rows = [
        [
            *(corpus, way),
            *(spread([run[way][place] for run in runs]) for place in range(3)),
            "–" if way == OURS else f"{p_values[corpus, way]:.2g}",
        ]
        for corpus, runs in found.items()
        for way in runs[0]
    ]
    head = ("text", "score", "novel of new labels", "novel of old labels", "AUROC")
    return markdown((*head, "p, new labels"), rows)


def main(
    corpora: Corpora,
    encoder: Encoder = None,
    seeds: Orders = 5,
    runs: Kept = Path("runs/streams"),
    results: Pages = RESULTS,
) -> None:
    """Measure each score, and write the page."""
    found = {
        corpus.partition("=")[0]: [
            detected(texts, seed) for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        ]
        for corpus in corpora
        for texts in [embedded(corpus, runs, encoder)]
    }
    written = (
        "# Novel text on a frozen pretrained encoder\n\n"
        f"`{command('learning.pretrained.pretrained_novelty')}`\n\n"
        f"{LENGTH} tokens of each document, {seeds} orders of the labels: half of them old, the others new. "
        f"Documents called novel at alpha {ALPHA}, a bound on the share of old ones; mean ± half-width of a "
        f"95 % Student interval. p of paired t tests between *{OURS}*, which is `conformal_knn`, and the "
        f"others, corrected by Holm over the table.\n\n{table(found)}\n"
    )
    (results / "pretrained_novelty.md").write_text(written, encoding="utf-8")
    typer.echo(written)


if __name__ == "__main__":
    typer.run(main)
