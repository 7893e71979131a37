"""New knowledge discovered: clusters of novel texts that several agents see become candidate classes.

Legend: N texts, C claims, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.knowledge.claims import Claim, merged
from agents.knowledge.frames import Points, unit

NOVEL = "novel"
"""Label of a cluster that one agent states, before others have seen it."""
CANDIDATE = "candidate-"
"""Beginning of the label of a candidate class; the rest names the texts that it rests on."""
SEERS = 2
"""Agents that must see a cluster."""


def is_candidate(claim: Claim) -> bool:
    """Return whether a claim is about a class that has no name yet."""
    return claim.label == NOVEL or claim.label.startswith(CANDIDATE)


@dataclass(frozen=True)
class Likeness:
    """Distances between the claims of a label.

    Attributes:
        to_mean: their mean cosine to their mean.
        between: cosine that nine in ten pairs of them exceed.
    """

    to_mean: float
    between: float


def likeness(claims: Sequence[Claim]) -> Likeness | None:
    """Return how close the claims of a label lie, a mean over labels; None if no label has two."""
    labels: dict[str, list[Claim]] = {}
    for claim in claims:
        labels.setdefault(claim.label, []).append(claim)
    to_mean, between = [], []
    for own in labels.values():
        if len(own) > 1:
            points_CD = unit(np.stack([claim.embedding for claim in own])).astype(np.float64)
            mean_D = points_CD.mean(axis=0)
            to_mean.append(float((points_CD @ mean_D).mean() / max(np.linalg.norm(mean_D), 1e-12)))
            pairs = (points_CD @ points_CD.T)[np.triu_indices(len(own), k=1)]
            between.append(float(np.quantile(pairs, 0.1)))
    if not to_mean:
        return None
    return Likeness(float(np.mean(to_mean)), float(np.mean(between)))


def clusters(points_ND: Points, alike: float) -> list[list[int]]:
    """Divide points into clusters: the densest point that is left leads one, and takes all near it."""
    if not len(points_ND):
        return []
    points_ND = unit(points_ND)
    near_NN = (points_ND @ points_ND.T) >= alike
    free, found = np.ones(len(near_NN), bool), list[list[int]]()
    while free.any():
        crowd_N = np.where(free, (near_NN & free).sum(axis=1), -1)
        rows = np.flatnonzero(near_NN[int(crowd_N.argmax())] & free)
        free[rows] = False
        found.append([int(row) for row in rows])
    return found


def novel_claims(
    points_ND: Points,
    origins: Sequence[str],
    frame: str,
    source: str,
    episode: int,
    alike: float,
    least: int,
) -> list[Claim]:
    """Return one claim for each cluster of an agent's novel texts that holds enough of them."""
    return [
        Claim(
            kind="prototype",
            embedding=unit(points_ND[rows]).mean(axis=0).astype(np.float32),
            frame=frame,
            labels=((NOVEL, float(len(rows))),),
            sources=(source,),
            origins=tuple(sorted({origins[row] for row in rows})),
            valid_from=episode,
        )
        for rows in clusters(points_ND, alike)
        if len({origins[row] for row in rows}) >= least
    ]


def candidate_classes(claims: Sequence[Claim], alike: float) -> list[Claim]:
    """Return a candidate class for each cluster that two agents or more state, on texts of their own.

    Agents that state the same texts count once.
    """
    ordered = sorted(claims, key=lambda claim: claim.digest)
    points = np.stack([claim.embedding for claim in ordered]) if ordered else np.zeros((0, 1))
    found = []
    for rows in clusters(points.astype(np.float32), alike):
        own = [ordered[row] for row in rows]
        if len({claim.origins for claim in own}) < SEERS or len(_sources(own)) < SEERS:
            continue
        whole = merged(own)
        name = f"{CANDIDATE}{whole.digest[:8]}"
        # A new claim: a copy with another label would keep the digest that `whole` has computed.
        fields = {field: getattr(whole, field) for field in Claim.model_fields}
        found.append(Claim(**{**fields, "labels": ((name, whole.weight),)}))
    return found


def _sources(claims: Sequence[Claim]) -> set[str]:
    return {source for claim in claims for source in claim.sources}
