"""Gaps between groups of held-out documents: is an encoder better for one group than for another?

Legend: N documents, A agents, D embedding width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.data.corpus import Corpus
from agentos.data.sources.base import Document, Source
from agentos.evaluation.base import unit_rows
from agentos.evaluation.knn import KNN
from agentos.evaluation.retrieval import ranks_of_relevant
from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError
from protocols.seeding import generator

LEAST_DOCUMENTS = 10
"""Fewest documents of a group."""
_DRAWS = 2_000
Scores = Mapping[str, NDArray[np.float64]]
"""By name of a metric, its value `[N]` for each document."""


@dataclass(frozen=True)
class Gap:
    """A metric of each group, and the distance between the best and the worst.

    Attributes:
        metric: its name.
        groups: documents of each group, and its mean.
        gap: largest mean less the smallest.
        p: share of random divisions into groups of the same sizes with a gap as large.
    """

    metric: str
    groups: Mapping[str, tuple[int, float]]
    gap: float
    p: float


def groups_of(source: Source, corpus: Corpus, column: str) -> list[str | None]:
    """Return the group of each held-out document, from a column of the run's source.

    Args:
        source: where the text comes from.
        corpus: the text.
        column: a column of the source; ``label`` for the labels that the run reads.

    Raises:
        ConfigurationError: the source has no columns, or no such one.
    """
    named = getattr(source, "label", None)
    if column in ("label", named):
        return corpus.labels(corpus.heldout)
    if "label" not in type(source).model_fields:
        raise ConfigurationError(
            f"documents of data.source {source.kind} have no columns to group by",
            expected="label",
            actual=column,
            hint="group by label",
        )
    other = source.model_copy(update={"label": column})
    found = {each.id: each.label for each in other.records() if isinstance(each, Document)}
    groups = [found.get(id) for id in corpus.ids(corpus.heldout)]
    if not any(groups):
        raise ConfigurationError(
            f"no held-out document has a group in the column {column!r}",
            hint="name a column of the run's data.source",
        )
    return groups


def document_scores(
    encoder: TextEncoder, texts: Sequence[str], labels: Sequence[str | None]
) -> dict[str, NDArray[np.float64]]:
    """Return metrics of each document: all documents of all groups are candidates.

    ``halves``: reciprocal rank of the second half of a document's words, searched by the first half.
    ``neighbours``: 1 where most of the nearest other documents have its label, else 0; only with labels.
    """
    halves = [_halves(text) for text in texts]
    first_ND, second_ND = (encoder.embed(half) for half in zip(*halves, strict=True))
    ranked = ranks_of_relevant(first_ND, second_ND, [{row: 1} for row in range(len(texts))])
    found = {"halves": np.array([1.0 / float(ranks[0]) for ranks, _ in ranked])}
    if None not in labels and len({*labels}) > 1:
        found["neighbours"] = _neighbours(encoder.embed(texts), np.array(labels, dtype=str))
    return found


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    middle = max(1, len(words) // 2)
    return " ".join(words[:middle]), " ".join(words[middle:] or words)


def _neighbours(rows_ND: NDArray[np.float32], labels: NDArray[np.str_]) -> NDArray[np.float64]:
    unit_ND = unit_rows(rows_ND)
    cosines = unit_ND @ unit_ND.T
    np.fill_diagonal(cosines, -np.inf)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, : KNN().k]
    names, codes = np.unique(labels, return_inverse=True)
    votes = (codes[near][:, :, None] == np.arange(len(names))).sum(axis=1)
    right: NDArray[np.float64] = (votes.argmax(axis=1) == codes).astype(np.float64)
    return right


def gaps(scores: Scores, groups: Sequence[str | None], seed: int = 0) -> list[Gap]:
    """Compare groups; documents without a group, and groups of fewer than ten documents, are left out.

    Args:
        scores: metrics of the documents.
        groups: `[N]` group of each.
        seed: draws the random divisions.

    Raises:
        ConfigurationError: fewer than two groups are left.
    """
    counts = Counter(group for group in groups if group is not None)
    names = sorted(name for name, count in counts.items() if count >= LEAST_DOCUMENTS)
    if len(names) < 2:
        raise ConfigurationError(
            "there are no two groups to compare",
            expected=f"at least two with {LEAST_DOCUMENTS} held-out documents each",
            actual=", ".join(f"{name}: {count}" for name, count in counts.most_common(5)),
            hint="raise data.heldout, or name another column",
        )
    place = {name: index for index, name in enumerate(names)}
    kept = np.array([group in place for group in groups])
    codes = np.array([place[group] for group in groups if group in place])
    return [_gap(name, values[kept], codes, names, seed) for name, values in scores.items()]


def _gap(
    metric: str, values: NDArray[np.float64], codes: NDArray[np.int64], names: list[str], seed: int
) -> Gap:
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=values) / sizes
    draws = generator(seed, "groups by chance")
    drawn = [
        np.ptp(np.bincount(draws.permutation(codes), weights=values) / sizes) for _ in range(_DRAWS)
    ]
    gap = float(np.ptp(means))
    at_least = int((np.array(drawn) >= gap - 1e-12).sum())
    rows = zip(names, sizes.tolist(), means.tolist(), strict=True)
    return Gap(
        metric,
        {name: (size, mean) for name, size, mean in rows},
        gap,
        (1 + at_least) / (1 + _DRAWS),
    )
