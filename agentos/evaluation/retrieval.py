"""Retrieval without labels: a document's first line must find the rest of that document.

Shapes: Q queries, as many bodies, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import (
    TIE_DECIMALS,
    HeldOut,
    Metric,
    Task,
    too_few,
    unit_rows,
)
from agents.subject import Subject
from protocols.seeding import generator

SUMMARY_WORDS = 3
BODY_WORDS = 5
# With ten bodies or fewer, Recall@10 is 1 whatever the encoder does.
MINIMUM = 11


class Retrieval(Task):
    """Summary-to-body retrieval: MRR and Recall@10 of finding a document by its first line.

    A document takes part if its first line (the summary) has at least 3 words and the lines below
    it (the body) at least 5. Up to `queries` of them are drawn; each summary is then ranked by
    cosine against all their bodies. Repeated summaries and repeated bodies are dropped first, since
    no encoder could tell them apart.

    Ties count against the encoder: the rank of the right body is the number of bodies at least as
    similar, itself included. So a collapsed encoder scores an MRR of 1/Q, not 1.

    Source: E. M. Voorhees, "The TREC-8 Question Answering Track Report" (1999), for the mean
    reciprocal rank.

    Example:
        >>> Retrieval(queries=256).kind
        'retrieval'
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="mrr",
            label="MRR",
            higher_is_better=True,
            help="Mean reciprocal rank of a document's body, searched by its first line.",
        ),
        Metric(
            name="recall_at_10",
            label="Recall@10",
            higher_is_better=True,
            help="Share of first lines that find their document's body among the ten nearest.",
            percent=True,
        ),
    )

    kind: Literal["retrieval"] = "retrieval"
    queries: int = Field(default=512, ge=MINIMUM, description="documents to search for, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text with fewer than 11 documents of a first line and a body."""
        found = len(summaries_and_bodies(heldout.texts))
        if found < MINIMUM:
            what = f"documents with a first line ({SUMMARY_WORDS}+ words) and a body below it"
            raise too_few(self.kind, MINIMUM, found, f"{what} ({BODY_WORDS}+ words)")

    def evaluate(self, subject: Subject, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``mrr`` and ``recall_at_10``, both in (0, 1]."""
        pairs = summaries_and_bodies(heldout.texts)
        chosen = generator(seed, "evaluation", "retrieval").permutation(len(pairs))
        summaries, bodies = zip(*(pairs[i] for i in chosen[: self.queries]), strict=True)
        ranks = ranks_of_match(subject.embed(summaries), subject.embed(bodies))
        return {"mrr": float(np.mean(1.0 / ranks)), "recall_at_10": float(np.mean(ranks <= 10))}


def summaries_and_bodies(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Split texts at their first line break; keep those with both parts, each part once.

    Example:
        >>> summaries_and_bodies(["Add two numbers.\\n\\nBoth must be finite and real.", "Alone."])
        [('Add two numbers.', 'Both must be finite and real.')]
    """
    bodies_seen: set[str] = set()
    pairs: dict[str, str] = {}
    for text in texts:
        summary, _, body = text.strip().partition("\n")
        summary, body = summary.strip(), body.strip()
        whole = len(summary.split()) >= SUMMARY_WORDS and len(body.split()) >= BODY_WORDS
        if whole and summary not in pairs and body not in bodies_seen:
            pairs[summary] = body
            bodies_seen.add(body)
    return list(pairs.items())


def ranks_of_match(
    queries_QD: NDArray[np.float32], bodies_QD: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return ``[Q]``: the rank of body i for query i, by cosine; 1 is best, ties count against it.

    Cosines closer than about a billionth count as ties: the rounding noise of a collapsed encoder
    in float32 turns its embeddings by about 1e-6 radians, its cosines by 1e-12, and must not be
    ranked.

    Example:
        >>> same = np.ones((4, 2), dtype=np.float32)
        >>> ranks_of_match(same, same).tolist()
        [4, 4, 4, 4]
    """
    cosines_QQ = np.round(unit_rows(queries_QD) @ unit_rows(bodies_QD).T, TIE_DECIMALS)
    ranks: NDArray[np.int64] = (cosines_QQ >= np.diag(cosines_QQ)[:, None]).sum(axis=1)
    return ranks
