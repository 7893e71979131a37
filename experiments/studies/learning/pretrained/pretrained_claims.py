"""Measure what answers gain by the nearest claims on a frozen pretrained encoder: by a vote, and alone.

    python -m experiments.studies.learning.pretrained.pretrained_claims newsgroups=train.parquet docstrings

Two agents meet a stream by label, and answer by streaming ridge regression on embeddings that never change.
They state claims of what they learn, and mix their answers with the nearest claims of both, as in a life.
Encoders that a life trains from nothing are measured by experiments.studies.learning.knowledge_in_use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from agentos.learning.knowledge.claim_answers import ClaimAnswers
from agentos.learning.knowledge.claim_exchange import extracted, frame_of_anchors
from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.config import Knn, KnowledgeConfig
from agentos.reporting.statistics import holm, paired_p
from agents.answering.logistic import softmax
from agents.answering.streaming_ridge import StreamingRidge
from agents.knowledge.claims import Claim
from agents.knowledge.extract import Extracted, origin_of
from agents.knowledge.frames import anchor_frame
from agents.knowledge.nearest_claims import best_weight
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
from experiments.studies.running import command
from protocols.seeding import generator

ANCHORS, TESTS, EPISODES, AGENTS = 256, 450, 5, 2
SHARPNESS, L2 = 10.0, 1.0
"""Factor of the scores of a ridge regression, and its penalty, as in a life."""
OWNERS = ("alike", "unlike")
SHARES = (0.5, 0.1)
USE = Knn()
STATED = KnowledgeConfig(extract=("prototypes", "exemplars"))
Floats = NDArray[np.float64]


class Answered(NamedTuple):
    """Accuracies of heads that learn all labels; and with claims, which take a fifth to be weighed by."""

    vote: float
    vote_with_claims: float
    alone: float
    alone_with_claims: float


@dataclass
class Society:
    """What two agents know.

    Attributes:
        heads: of each agent, on all its labelled texts.
        fewer: of each agent, without those that weigh claims.
        claims: claims of both.
        held: documents that weigh claims.
    """

    heads: list[StreamingRidge]
    fewer: list[StreamingRidge]
    claims: list[Claim] = field(default_factory=list)
    held: list[Rows] = field(default_factory=list)


def answered(known: Texts, owners: str, labelled: float, seed: int) -> Answered:
    """Return the accuracies at the end of a stream.

    Args:
        known: the documents.
        owners: ``alike`` if both agents have texts of all labels of an episode, ``unlike`` if of half each.
        labelled: share of the documents that have labels.
        seed: seed of the order of the labels, and of the division.
    """
    rng = generator(seed, "study", "claims")
    classes = int(known.codes.max()) + 1
    tests, public, free = np.split(rng.permutation(len(known.codes)), [TESTS, TESTS + ANCHORS])
    free = free[: round(labelled * len(free))]
    centred = known.points - known.points[public].mean(axis=0)
    placed = anchor_frame(known.points, known.points[public])
    frame = frame_of_anchors([known.texts[row] for row in public])

    def stated(rows: Rows, agent: int, episode: int) -> list[Claim]:
        names = [str(code) for code in known.codes[rows]]
        origins = [origin_of(known.texts[row]) for row in rows]
        own = Extracted(placed[rows], names, origins, frame, f"agent-{agent}", episode)
        return extracted(own, STATED)

    order = np.array_split(rng.permutation(classes), EPISODES)
    society = lived(known.codes, centred, free, order, owners, stated)
    names = [str(code) for code in range(classes)]
    shares = ClaimAnswers(names, USE, ClaimWork()).shares
    held = np.concatenate(society.held)
    mean = np.mean(opinions(society.fewer, centred[held]), axis=0)
    weight = best_weight(mean, shares(placed[held], society.claims), known.codes[held])
    claimed = shares(placed[tests], society.claims)
    alone = opinions(society.heads, centred[tests])
    mixed = [
        (1 - weight) * rows + weight * claimed for rows in opinions(society.fewer, centred[tests])
    ]

    def right(rows: Floats) -> float:
        return float((rows.argmax(axis=1) == known.codes[tests]).mean())

    return Answered(
        *(right(np.mean(each, axis=0)) for each in (alone, mixed)),
        *(float(np.mean([right(rows) for rows in each])) for each in (alone, mixed)),
    )


def lived(
    codes: Rows,
    centred_ND: NDArray[np.floating],
    free: Rows,
    order: Sequence[Rows],
    owners: str,
    stated: Callable[[Rows, int, int], list[Claim]],
) -> Society:
    """Let two agents learn a stream.

    Args:
        codes: the label of each document.
        centred_ND: embeddings less the mean of the anchors.
        free: documents with labels.
        order: labels of each episode.
        owners: see `answered`.
        stated: returns the claims of an agent about documents in an episode.
    """
    classes = sum(map(len, order))
    begun = [StreamingRidge.begin(np.zeros(centred_ND.shape[1]), classes)] * AGENTS
    society = Society(list(begun), list(begun))
    for episode, labels in enumerate(order):
        came = free[np.isin(codes[free], labels)]
        held = came[: min(USE.most, round(USE.held * len(came)))]
        society.held.append(held)
        for agent in range(AGENTS):
            own = came[agent::AGENTS]
            if owners == "unlike":
                own = came[np.isin(codes[came], labels[agent::AGENTS])]
            fewer = np.setdiff1d(own, held)
            for heads, rows in ((society.heads, own), (society.fewer, fewer)):
                heads[agent] = heads[agent].learn(centred_ND[rows], codes[rows])
            society.claims += stated(fewer, agent, episode)
    return society


def opinions(heads: Sequence[StreamingRidge], rows_ND: NDArray[np.floating]) -> list[Floats]:
    """Return the class probabilities of each agent `[N, K]`."""
    return [softmax(SHARPNESS * head.head(L2).scores(rows_ND)) for head in heads]


def table(found: Mapping[tuple[str, str, float], Sequence[Answered]]) -> str:
    """Return a row for each setting, with the gains of claims."""
    gains = {
        key: [
            np.subtract([run[at + 1] for run in runs], [run[at] for run in runs]).tolist()
            for at in (0, 2)
        ]
        for key, runs in found.items()
    }
    raw = [paired_p(gain, [0.0] * len(gain)) for both in gains.values() for gain in both]
    p_values = iter(holm(raw))
    rows = []
    for key, runs in found.items():
        corpus, owners, labelled = key
        row = [corpus, owners, f"{labelled:.0%}"]
        for at, gain in zip((0, 2), gains[key], strict=True):
            row += [spread([run[at] for run in runs]), spread(gain, "+"), f"{next(p_values):.2g}"]
        rows.append(row)
    head = ("text", "agents' labels", "labelled", "vote of heads", "gain by claims", "p")
    return markdown((*head, "each agent alone", "gain by claims", "p"), rows)


def main(
    corpora: Corpora,
    encoder: Encoder = None,
    seeds: Orders = 5,
    runs: Kept = Path("runs/streams"),
    results: Pages = RESULTS,
) -> None:
    """Measure each setting, and write the page."""
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    found = {}
    for corpus in corpora:
        known, name = embedded(corpus, runs, encoder), corpus.partition("=")[0]
        for owners in OWNERS:
            for share in SHARES:
                key = (name, owners, share)
                found[key] = [answered(known, owners, share, seed) for seed in numbers]
                typer.echo(f"{key}: {found[key]}")
    written = (
        "# Answers by claims on a frozen pretrained encoder\n\n"
        f"`{command('learning.pretrained.pretrained_claims')}`\n\n"
        f"{LENGTH} tokens of each document, two agents, {EPISODES} episodes of new labels, {seeds} orders of "
        "the labels. *alike*: both agents have texts of all labels of an episode; *unlike*: each of half of "
        "them. Heads: streaming ridge regression on all labelled texts; with claims, on all but a fifth, by "
        f"which the claims are weighed. Accuracy on {TESTS} texts at the end, mean ± half-width of a 95 % "
        f"Student interval, p of paired t tests corrected by Holm over the table.\n\n{table(found)}\n"
    )
    (results / "pretrained_claims.md").write_text(written, encoding="utf-8")
    typer.echo(written)


if __name__ == "__main__":
    typer.run(main)
