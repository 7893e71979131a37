"""Wrong knowledge found: the value of each claim, its out-of-fold confidence, and who may retract it.

Legend: N claims, T texts of a validation set, K labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from agentos.learning.knowledge.storage.changes import Moved
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.candidate_classes import is_candidate
from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit

Points = NDArray[np.float32]
Labels = NDArray[np.int64]
RETRACTING = 2
"""Independent origins that retract a claim."""
_CHUNK = 512


def knn_shapley(
    points: Points, labels: Labels, tests: Points, truth: Labels, k: int
) -> NDArray[np.float64]:
    r"""Return the exact Shapley value `[N]` of each claim for a k-nearest-neighbour classifier.

    With claims ordered by their cosine to a text, nearest first, \(s_N = [y_N = y] / N\) and
    \(s_i = s_{i+1} + ([y_i = y] - [y_{i+1} = y]) / k \cdot \min(k, i) / i\); values are means over texts.
    Values sum to the mean accuracy. A negative one says that the claim does harm.

    Source: Jia et al., Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms, VLDB 2019.
    """
    count, ranks = len(points), np.arange(1, len(points))
    factors = np.minimum(k, ranks) / (ranks * k)
    held, values = unit(points), np.zeros(count)
    for start in range(0, len(tests), _CHUNK):
        rows = slice(start, start + _CHUNK)
        order = np.argsort(-(unit(tests[rows]) @ held.T), axis=1, kind="stable")
        match = (labels[order] == truth[rows, None]).astype(np.float64)
        steps = np.zeros_like(match)
        # With fewer claims than k, the farthest still fills one of k places.
        steps[:, -1] = match[:, -1] / max(count, k)
        steps[:, :-1] = (match[:, :-1] - match[:, 1:]) * factors
        worth = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        np.add.at(values, order.reshape(-1), worth.reshape(-1))
    return values / len(tests)


def out_of_fold_confidence(
    points: Points, labels: Labels, classes: int, k: int
) -> NDArray[np.float64]:
    """Return the shares `[N, K]` of labels among the k nearest other claims, weighted by cosine.

    Every claim is left out of its own prediction.
    """
    held, shares = unit(points), np.zeros((len(points), classes))
    k = min(k, len(points) - 1)
    for start in range(0, len(points), _CHUNK):
        cosines = held[start : start + _CHUNK] @ held.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        weights = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 1e-6)
        for place in range(k):
            np.add.at(shares, (start + rows, labels[nearest[:, place]]), weights[:, place])
    whole: NDArray[np.float64] = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    return whole


def harmful(
    claims: Sequence[Claim], names: Sequence[str], tests: Points, truth: Labels, k: int
) -> list[Moved]:
    """Return the changes that dispute claims that do harm to the answers about texts with known labels.

    A claim does harm if its Shapley value is negative, and most of the claims near it have another label.

    Args:
        claims: accepted claims of one frame.
        names: names of the labels.
        tests: `[T, D]`, points of texts that no claim rests on.
        truth: `[T]`, their labels by place among the names.
        k: neighbours that an answer counts.
    """
    places = {name: place for place, name in enumerate(names)}
    claims = [claim for claim in claims if claim.label in places]
    if len(claims) < 2 or not len(tests):
        return []
    labels = np.array([places[claim.label] for claim in claims], np.int64)
    points = np.stack([claim.embedding for claim in claims])
    values = knn_shapley(points, labels, tests, truth, k)
    confidence = out_of_fold_confidence(points, labels, len(names), k)
    own = confidence[np.arange(len(claims)), labels]
    return [
        Moved(
            digest=claim.digest,
            status="disputed",
            reason=f"answers are better without it: its value is {value:.2g}, and {sure:.0%} of its "
            "neighbours agree",
        )
        for claim, value, sure in zip(claims, values, own, strict=True)
        if value < 0 and sure < 0.5
    ]


def named(state: KnowledgeState, claims: Sequence[Claim], alike: float) -> list[Moved]:
    """Return the changes that retract candidate classes which have come to have a name.

    Args:
        state: the state, with its candidate classes.
        claims: accepted claims of the same frame.
        alike: least cosine of a candidate class to a claim that names it.
    """
    if not claims:
        return []
    points, changes = unit(np.stack([claim.embedding for claim in claims])), []
    for each in state.with_status("candidate"):
        if is_candidate(each) and each.embedding.shape == points[0].shape:
            cosines = points @ unit(each.embedding)
            nearest = claims[int(cosines.argmax())]
            if cosines.max() >= alike and each.frame == nearest.frame:
                reason = f"it has a name: {nearest.label}"
                changes.append(Moved(digest=each.digest, status="retracted", reason=reason))
    return changes


def objections(state: KnowledgeState, digest: str, by: Iterable[str], reason: str) -> list[Moved]:
    """Return the change that objections from these origins make: disputed, or retracted by two.

    Origins that objected before count too, each once, and not those that the claim itself rests on. A claim
    that rests on one text cannot be retracted by that text.
    """
    claim = state.claims[digest]
    earlier = {
        origin
        for decision in state.decisions.get(digest, ())
        if isinstance(decision, Moved) and decision.status in ("disputed", "retracted")
        for origin in decision.by
    }
    independent = sorted((earlier | set(by)) - set(claim.origins))
    if not independent:
        return []
    status = "retracted" if len(independent) >= RETRACTING else "disputed"
    new = set(independent) - earlier
    if claim.status == "retracted" or (claim.status == status and not new):
        return []
    return [Moved(digest=digest, status=status, reason=reason, by=tuple(sorted(new)))]
