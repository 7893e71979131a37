"""Claims extracted from an agent's embeddings and labels: prototypes and exemplars."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit


@dataclass(frozen=True)
class Extracted:
    """Material of claims: embeddings `[N, D]` of labelled texts, and where they come from."""

    embeddings: NDArray[np.float32]
    labels: Sequence[str]
    origins: Sequence[str]
    frame: str
    source: str
    episode: int = 0

    def claim(self, kind: str, point: NDArray[np.float64], rows: NDArray[np.int64]) -> Claim:
        """Return a candidate about a point that rests on some of the texts."""
        names, counts = np.unique([self.labels[row] for row in rows], return_counts=True)
        return Claim.model_validate(
            {
                "kind": kind,
                "embedding": point.astype(np.float32),
                "frame": self.frame,
                "labels": tuple(zip(names.tolist(), counts.astype(float).tolist(), strict=True)),
                "sources": (self.source,),
                "origins": tuple(sorted({self.origins[row] for row in rows})),
                "valid_from": self.episode,
            }
        )


def origin_of(text: str) -> str:
    """Return the digest of a text without regard to case and spaces, so that copies share an origin."""
    plain = " ".join(text.casefold().split()).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(plain, digest_size=16).hexdigest()


def prototypes(known: Extracted) -> list[Claim]:
    """Return one claim per label: the mean of its unit embeddings, by label name."""
    points, labels = unit(known.embeddings).astype(np.float64), np.asarray(known.labels)
    claims = []
    for name in sorted(set(known.labels)):
        rows = np.flatnonzero(labels == name)
        claims.append(known.claim("prototype", points[rows].mean(axis=0), rows))
    return claims


def exemplars(known: Extracted, per_label: int) -> list[Claim]:
    """Return up to ``per_label`` texts of each label whose running mean stays closest to the label's mean.

    This is herding (Rebuffi et al., "iCaRL", CVPR 2017): exemplar m minimises
    ``|mean - (sum of the chosen + x) / m|``; of equal texts the first is taken.
    """
    points, labels = unit(known.embeddings).astype(np.float64), np.asarray(known.labels)
    claims = []
    for name in sorted(set(known.labels)):
        rows = np.flatnonzero(labels == name)
        mean, total, free = points[rows].mean(axis=0), np.zeros(points.shape[1]), list(rows)
        for chosen in range(1, min(per_label, len(rows)) + 1):
            apart = ((mean - (total + points[free]) / chosen) ** 2).sum(axis=1)
            row = free.pop(int(apart.argmin()))
            total += points[row]
            claims.append(known.claim("exemplar", points[row], np.array([row])))
    return claims
