"""Fusion of claims: near duplicates become one, and exemplars beyond what is wanted are thinned.

Legend: C claims, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from agentos.data.cleaning.config import NearDuplicates
from agentos.data.cleaning.minhash import signatures
from agentos.learning.knowledge.config import Merging
from agentos.learning.knowledge.storage.changes import Joined
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.claims import Claim, merged
from agents.knowledge.frames import unit

Alike = NDArray[np.bool_]


def joined(state: KnowledgeState, config: Merging) -> list[Joined]:
    """Return the changes that make one claim of near duplicates of one kind, frame and set of labels.

    Claims with texts are near duplicates if these resemble each other by MinHash, all others by the cosine of
    their points. A claim that is retracted stays out.
    """
    changes = []
    for claims in _comparable(state):
        alike_CC = cosines(claims) >= config.cosine
        texts = np.array([bool(claim.text) for claim in claims])
        if texts.any():
            alike_CC &= ~(texts[:, None] & texts[None, :])
            rows = np.flatnonzero(texts)
            alike_CC[np.ix_(rows, rows)] |= resembling([claims[row].text for row in rows], config)
        for group in groups(alike_CC):
            if len(group) > 1:
                members = [claims[row] for row in group]
                changes.append(_join(members))
    return changes


def thinned(state: KnowledgeState, exemplars: int, prototypes: int) -> list[Joined]:
    """Return the changes that leave at most so many exemplars and prototypes of each label and frame.

    As long as there are more, the two most alike become one. Of exemplars, the one that lies closer to all
    others stays as it is, and takes the other's place (SemDeDup with the threshold that the number asks
    for); prototypes are clustered anew, and each cluster becomes its mean. Nothing is lost from the log:
    `why` shows the parts.

    Source: Abbas et al., SemDeDup: Data-efficient Learning at Web-scale through Semantic Deduplication, 2023.
    """
    most, changes = {"exemplar": exemplars, "prototype": prototypes}, []
    for claims in _comparable(state):
        kind = claims[0].kind
        if len(claims) <= most.get(kind, len(claims)):
            continue
        for group in kept_groups(cosines(claims), most[kind]):
            if len(group) > 1:
                members = [claims[row] for row in group]
                parts = tuple(claim.digest for claim in members)
                whole = members[0] if kind == "exemplar" else merged(members)
                changes.append(Joined(parts=parts, whole=whole))
    return changes


def kept_groups(cosines_CC: NDArray[np.float64], most: int) -> list[list[int]]:
    """Divide claims into at most so many groups, by dropping one of the two most alike again and again.

    Returns:
        The groups; the first claim of each is the one that stays.
    """
    close = cosines_CC.copy()
    np.fill_diagonal(close, -np.inf)
    members = {row: [row] for row in range(len(close))}
    centrality = cosines_CC.mean(axis=1)
    while len(members) > most:
        first, second = np.unravel_index(int(close.argmax()), close.shape)
        stays, goes = int(first), int(second)
        if centrality[goes] > centrality[stays]:
            stays, goes = goes, stays
        members[stays].extend(members.pop(goes))
        close[goes, :] = close[:, goes] = -np.inf
    return list(members.values())


def groups(alike_CC: Alike) -> list[list[int]]:
    """Divide claims into groups: the first that is left leads one, and takes all that are like it.

    No member is unlike its leader, so that chains of near duplicates do not grow into one group.
    """
    free, found = np.ones(len(alike_CC), bool), list[list[int]]()
    for leader in range(len(alike_CC)):
        if free[leader]:
            others = [int(row) for row in np.flatnonzero(alike_CC[leader] & free) if row != leader]
            found.append([leader, *others])
            free[found[-1]] = False
    return found


def cosines(claims: Sequence[Claim]) -> NDArray[np.float64]:
    """Return the cosine between any two claims `[C, C]`."""
    points_CD = unit(np.stack([claim.embedding for claim in claims])).astype(np.float64)
    found: NDArray[np.float64] = points_CD @ points_CD.T
    return found


def resembling(texts: Sequence[str], config: Merging) -> Alike:
    """Return which texts resemble each other by MinHash `[C, C]`."""
    signed = signatures(texts, NearDuplicates(threshold=config.resemblance))
    return np.stack([(signed == row).mean(axis=1) >= config.resemblance for row in signed])


def _comparable(state: KnowledgeState) -> Iterator[list[Claim]]:
    """Yield the standing claims of one kind, frame and set of labels, in the order of their digests."""

    def key(claim: Claim) -> tuple[str, str, int, tuple[str, ...]]:
        width = len(claim.embedding)
        return claim.kind, claim.frame, width, tuple(name for name, _ in claim.labels)

    standing = state.with_status("candidate", "accepted", "disputed")
    ordered = sorted(standing, key=lambda claim: (key(claim), claim.digest))
    for _, claims in groupby(ordered, key=key):
        yield list(claims)


def _join(members: Sequence[Claim]) -> Joined:
    return Joined(parts=tuple(claim.digest for claim in members), whole=merged(list(members)))
