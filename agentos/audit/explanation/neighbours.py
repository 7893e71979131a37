"""The public anchors that lie nearest to a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentos.evaluation.loaded_encoder import LoadedEncoder


@dataclass(frozen=True)
class Neighbour:
    """A text near another.

    Attributes:
        text: the text.
        cosine: cosine of the two embeddings, less the mean of the texts that were searched.
    """

    text: str
    cosine: float


def nearest(
    encoder: LoadedEncoder, text: str, among: Sequence[str], count: int = 5
) -> list[Neighbour]:
    """Return the nearest of some texts, the nearest first.

    Embeddings are centred at the mean of those texts: most of what small encoders embed is shared by all.
    """
    if not among:
        return []
    rows_ND = encoder.embed([*among, text]).astype(np.float64)
    rows_ND -= rows_ND[:-1].mean(axis=0)
    lengths_N = np.linalg.norm(rows_ND, axis=1)
    cosines_N = rows_ND[:-1] @ rows_ND[-1] / np.maximum(lengths_N[:-1] * lengths_N[-1], 1e-12)
    order = np.argsort(-cosines_N, kind="stable")[:count]
    return [Neighbour(among[row], float(cosines_N[row])) for row in order]
