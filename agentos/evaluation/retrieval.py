"""Retrieval of a document's body by its first line, or of judged documents by queries.

Shapes: Q queries, C documents of the corpus, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.data.scripts import words
from agentos.evaluation.base import TIE_DECIMALS, HeldOut, Metric, Task, too_few, unit_rows
from agentos.evaluation.beir import Judged, read_folder
from agents.models.text_encoder import TextEncoder
from protocols.seeding import generator

SUMMARY_WORDS = 3
BODY_WORDS = 5
# With ten bodies or fewer, Recall@10 is 1 for every encoder.
MINIMUM = 11
_CHUNK = 256


class Retrieval(Task):
    """Retrieval: nDCG@10, MRR and Recall@10 of bodies searched by first lines, or of files.

    Without `path`: a document is used if its first line (the summary) has at least 3 words and the lines
    below it (the body) at least 5. Up to `queries` of them are drawn; each summary is a query that ranks
    all their bodies by cosine. Repeated summaries and repeated bodies are dropped first, since no
    encoder could distinguish them.

    With `path`: a folder in BEIR's layout, ``corpus.jsonl``, ``queries.jsonl`` and
    ``qrels/test.tsv`` (or another file of judgements, also in TREC's form). Every judged query is
    ranked against the whole corpus.

    Ties count against the encoder: a relevant document ranks behind every other one that is as similar,
    so a collapsed encoder scores an MRR of 1/Q, not 1.

    Sources: Voorhees, The TREC-8 Question Answering Track Report, 1999, for the mean reciprocal rank;
    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; Thakur et al., BEIR,
    2021.

    Example:
        >>> Retrieval(queries=256).kind
        'retrieval'
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="mrr",
            label="MRR",
            higher_is_better=True,
            help="Mean reciprocal rank of the first relevant document; of a body, by its first line.",
        ),
        Metric(
            name="recall_at_10",
            label="Recall@10",
            higher_is_better=True,
            help="Share of relevant documents (bodies, by their first lines) among the ten nearest.",
            percent=True,
        ),
        Metric(
            name="ndcg_at_10",
            label="nDCG@10",
            higher_is_better=True,
            help="Gain of the ten nearest documents, discounted by rank, over the best possible.",
            minor=True,
        ),
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"centered", "whitened"})

    kind: Literal["retrieval"] = "retrieval"
    queries: int = Field(
        default=512, ge=MINIMUM, description="documents to retrieve by first line, at most"
    )
    path: str | None = Field(
        default=None, min_length=1, description="folder of a corpus, queries and qrels, as BEIR's"
    )
    qrels: str = Field(
        default="qrels/test.tsv",
        min_length=1,
        description="file of relevance judgements in that folder",
    )

    def read(self) -> Judged | None:
        """Return the queries and documents of `path`; None without one."""
        return None if self.path is None else read_folder(self.path, self.qrels)

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text with fewer than 11 documents that have a first line and a body.

        With `path`, the held-out text is not used.
        """
        if self.path is not None:
            return
        found = len(summaries_and_bodies(heldout.texts))
        if found < MINIMUM:
            what = f"documents with a first line ({SUMMARY_WORDS}+ words) and a body below it"
            raise too_few(self.kind, MINIMUM, found, f"{what} ({BODY_WORDS}+ words)")

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``mrr``, ``recall_at_10`` and ``ndcg_at_10``, all in [0, 1]."""
        judged: Judged | None = self.files
        if judged is None:
            judged = self._natural(heldout, seed)
        queries_QD, corpus_CD = encoder.embed(judged.queries), encoder.embed(judged.corpus)
        return measures(ranks_of_relevant(queries_QD, corpus_CD, judged.relevant))

    def _natural(self, heldout: HeldOut, seed: int) -> Judged:
        pairs = summaries_and_bodies(heldout.texts)
        chosen = generator(seed, "evaluation", "retrieval").permutation(len(pairs))
        summaries, bodies = zip(*(pairs[i] for i in chosen[: self.queries]), strict=True)
        return Judged(summaries, bodies, tuple({i: 1} for i in range(len(summaries))))


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
        whole = len(words(summary)) >= SUMMARY_WORDS and len(words(body)) >= BODY_WORDS
        if whole and summary not in pairs and body not in bodies_seen:
            pairs[summary] = body
            bodies_seen.add(body)
    return list(pairs.items())


Ranked = tuple[NDArray[Any], NDArray[np.int64]]
"""Ranks of one query's relevant documents, ascending from 1, infinite if not found, and their grades."""


def ranks_of_relevant(
    queries_QD: NDArray[np.float32],
    corpus_CD: NDArray[np.float32],
    relevant: Sequence[Mapping[int, int]],
) -> Iterator[Ranked]:
    """Rank the corpus by cosine for each query, and yield the ranks of its relevant documents.

    Ties count against the encoder. Cosines closer than about 1e-9 count as ties: rounding noise of a
    collapsed encoder in float32 rotates its embeddings by about 1e-6 radians, which changes cosines by
    1e-12, and must not be ranked.

    Args:
        queries_QD: embeddings of queries.
        corpus_CD: embeddings of documents.
        relevant: for each query, the rows of its relevant documents, and their grades, above 0.

    Example:
        >>> same = np.ones((4, 2), dtype=np.float32)
        >>> [ranks.tolist() for ranks, _ in ranks_of_relevant(same[:1], same, [{0: 1}])]
        [[4]]
    """
    unit_CD = unit_rows(corpus_CD)
    for start in range(0, len(queries_QD), _CHUNK):
        unit = unit_rows(queries_QD[start : start + _CHUNK])
        cosines = np.round(unit @ unit_CD.T, TIE_DECIMALS)
        for row_C, graded in zip(cosines, relevant[start : start + _CHUNK], strict=True):
            rows, grades = np.array(list(graded)), np.array(list(graded.values()))
            # The nearest first; among equals the lowest grade, so that ties count against the encoder.
            order = np.lexsort((grades, -row_C[rows]))
            own = row_C[rows[order]]
            others = np.delete(row_C, rows)
            before = (others[None, :] >= own[:, None]).sum(axis=1)
            yield before + np.arange(1, len(own) + 1), grades[order]


def measures(ranked: Iterator[Ranked]) -> dict[str, float]:
    """Return ``mrr``, ``recall_at_10`` and ``ndcg_at_10``, each the mean over queries.

    ``nDCG = sum_r grade_r / log2(rank_r + 1)`` over the ten nearest, divided by that sum for the ideal
    order. The gain of a document is its grade, as in trec_eval.

    Example:
        >>> found = measures(iter([(np.array([2]), np.array([1]))]))
        >>> {name: round(value, 3) for name, value in found.items()}
        {'mrr': 0.5, 'recall_at_10': 1.0, 'ndcg_at_10': 0.631}
    """
    rows = []
    for ranks, grades in ranked:
        near = ranks <= 10
        best = np.sort(grades)[::-1][:10]
        ideal = np.sum(best / np.log2(np.arange(2, len(best) + 2)))
        gained = np.sum(grades[near] / np.log2(ranks[near] + 1))
        rows.append((1 / ranks[0], near.mean(), gained / ideal))
    mrr, recall, ndcg = np.mean(rows, axis=0)
    return {"mrr": float(mrr), "recall_at_10": float(recall), "ndcg_at_10": float(ndcg)}
