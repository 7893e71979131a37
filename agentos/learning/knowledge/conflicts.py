"""Conflicts between claims: who states what about which point, and what becomes of the claims that lose.

Legend: C claims, S sources, N subjects (points that claims are about), K labels, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentos.learning.knowledge.claim_fusion import cosines, groups
from agentos.learning.knowledge.correction import objections
from agentos.learning.knowledge.resolvers import Ballots, Resolver
from agentos.learning.knowledge.storage.changes import Moved, Weighed
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.candidate_classes import is_candidate
from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit

DOUBT = 0.5
"""Probability of its label below which a claim is disputed."""


@dataclass(frozen=True)
class Subjects:
    """Claims about the same points.

    Attributes:
        groups: the claims about each subject.
        sources: names of the sources, sorted.
        labels: names of the labels, sorted.
        ballots: what each source states about each subject.
    """

    groups: Sequence[Sequence[Claim]]
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    ballots: Ballots


def subjects_of(claims: Sequence[Claim], cosine: float) -> Subjects:
    """Return what sources state about points that lie as close as near duplicates do.

    Sources that rest on the same texts have the same origin; see `Ballots`.
    """
    members = [[claims[row] for row in rows] for rows in groups(cosines(claims) >= cosine)]
    sources = tuple(sorted({name for claim in claims for name in claim.sources}))
    labels = tuple(sorted({name for claim in claims for name, _ in claim.labels}))
    shares_SNK = np.zeros((len(sources), len(members), len(labels)))
    origins_SN = np.full((len(sources), len(members)), -1, np.int64)
    times_S, known = np.zeros(len(sources)), dict[tuple[str, ...], int]()
    for subject, group in enumerate(members):
        for claim in group:
            for name in claim.sources:
                source = sources.index(name)
                for label, count in claim.labels:
                    shares_SNK[source, subject, labels.index(label)] += count
                origins_SN[source, subject] = known.setdefault(claim.origins, len(known))
                times_S[source] = max(times_S[source], claim.valid_from)
    totals_SN = shares_SNK.sum(axis=2, keepdims=True)
    shares_SNK = np.divide(shares_SNK, totals_SN, out=shares_SNK, where=totals_SN > 0)
    points_ND = unit(np.stack([group[0].embedding for group in members]))
    audit_N = np.full(len(members), -1, np.int64)
    ballots = Ballots(shares_SNK, origins_SN, times_S, audit_N, points_ND)
    return Subjects(members, sources, labels, ballots)


def settled(state: KnowledgeState, resolver: Resolver, cosine: float) -> list[Moved | Weighed]:
    """Weigh all standing claims about points of each frame; return what follows for each.

    A claim whose label is more probable than not is accepted, one that was disputed too. Another one is
    disputed, or retracted where two independent origins state what is more probable about the same point.
    Candidate classes wait for a name.
    """
    standing = [
        claim
        for claim in state.with_status("candidate", "accepted", "disputed")
        if not is_candidate(claim)
    ]
    changes: list[Moved | Weighed] = []
    frames: dict[tuple[str, int], list[Claim]] = {}
    for claim in sorted(standing, key=lambda claim: claim.digest):
        frames.setdefault((claim.frame, len(claim.embedding)), []).append(claim)
    for _, claims in sorted(frames.items()):
        subjects = subjects_of(claims, cosine)
        if len(subjects.labels) < 2:
            changes += [_accepted(claim) for claim in claims if claim.status == "candidate"]
            continue
        resolution = resolver.resolve(subjects.ballots)
        trust = dict(zip(subjects.sources, resolution.trust_S.tolist(), strict=False))
        for group, shares_K in zip(subjects.groups, resolution.shares_NK, strict=True):
            shares = dict(zip(subjects.labels, shares_K.tolist(), strict=True))
            for claim in group:
                changes += _decided(state, claim, group, shares, trust, resolver.kind)
    return changes


def _decided(
    state: KnowledgeState,
    claim: Claim,
    group: Sequence[Claim],
    shares: dict[str, float],
    trust: dict[str, float],
    resolver: str,
) -> list[Moved | Weighed]:
    rivals = [other for other in group if other.label != claim.label]
    doubted = shares[claim.label] < DOUBT
    if not doubted and claim.status == "accepted":
        return []
    changes: list[Moved | Weighed] = []
    if rivals or doubted:
        changes.append(
            Weighed(
                digest=claim.digest,
                rivals=tuple(rival.digest for rival in rivals),
                weights={name: round(trust[name], 6) for name in _sources([claim, *rivals])},
                shares={name: round(share, 6) for name, share in shares.items() if share >= 1e-6},
                resolver=resolver,
            )
        )
    if not doubted:
        return [*changes, _accepted(claim)]
    winner = max(shares, key=lambda name: (shares[name], name))
    against = {o for rival in rivals if rival.label == winner for o in rival.origins}
    objected = objections(state, claim.digest, against, f"the label {winner} is more probable")
    if not objected and claim.status != "disputed":
        reason = (
            f"its label is the most probable, at {shares[winner]:.0%}, and yet not more probable than not"
            if winner == claim.label
            else f"what lies near makes {winner} more probable"
        )
        objected = [Moved(digest=claim.digest, status="disputed", reason=reason)]
    # What was decided before is not written again.
    return [*changes, *objected] if objected else []


def _accepted(claim: Claim) -> Moved:
    return Moved(
        digest=claim.digest, status="accepted", reason="its label is more probable than not"
    )


def _sources(claims: Sequence[Claim]) -> list[str]:
    return sorted({name for claim in claims for name in claim.sources})
