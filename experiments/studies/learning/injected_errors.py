"""Wrong knowledge made on purpose: claims of several sources about texts, some of them wrong, in four ways.

Legend: S sources, N subjects (texts), K labels, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.learning.knowledge.resolvers import Ballots
from agents.knowledge.frames import unit

Labels = NDArray[np.int64]
SOURCES, STATED, AUDITED = 5, 0.4, 0.05
"""Honest sources, the share of the subjects that each states something about, and that of audit anchors."""
COPIES, SLIPS = 3, 0.1
"""Copies of the liar, and the share of honest sources' claims that are wrong at random."""
Flip = Callable[["Subjects", np.random.Generator, Labels], Labels]


@dataclass(frozen=True)
class Subjects:
    """Texts with their true labels.

    Attributes:
        points_ND: their embeddings.
        truth_N: their labels.
        classes: K.
    """

    points_ND: NDArray[np.float32]
    truth_N: Labels
    classes: int


@dataclass(frozen=True)
class Stated:
    """Statements of sources: a label of each subject, or -1, `[S, N]`."""

    labels_SN: Labels
    subjects: Subjects
    audit_N: Labels

    @property
    def wrong_SN(self) -> NDArray[np.bool_]:
        """Return which claims are wrong."""
        found: NDArray[np.bool_] = (self.labels_SN >= 0) & (self.labels_SN != self.subjects.truth_N)
        return found

    def ballots(self) -> Ballots:
        """Return the claims as resolvers take them; every claim has an origin of its own."""
        sources, count = self.labels_SN.shape
        shares_SNK = (
            np.eye(self.subjects.classes)[self.labels_SN] * (self.labels_SN >= 0)[..., None]
        )
        origins_SN = np.arange(sources * count).reshape(sources, count)
        times_S = np.arange(sources, dtype=np.float64)
        return Ballots(shares_SNK, origins_SN, times_S, self.audit_N, self.subjects.points_ND)


def at_random(subjects: Subjects, rng: np.random.Generator, rows: Labels) -> Labels:
    """Return other labels, each as likely."""
    shift = rng.integers(1, subjects.classes, len(rows))
    found: Labels = (subjects.truth_N[rows] + shift) % subjects.classes
    return found


def to_the_next(subjects: Subjects, rng: np.random.Generator, rows: Labels) -> Labels:
    """Return for each label always the same other one."""
    found: Labels = (subjects.truth_N[rows] + 1) % subjects.classes
    return found


def to_the_nearest(subjects: Subjects, rng: np.random.Generator, rows: Labels) -> Labels:
    """Return the label whose mean is nearest, of all but the true one."""
    scores_NK = _centroid_scores(subjects)[rows]
    scores_NK[np.arange(len(rows)), subjects.truth_N[rows]] = -np.inf
    return np.asarray(scores_NK.argmax(axis=1), np.int64)


def flipped(subjects: Subjects, rng: np.random.Generator, share: float, flip: Flip) -> Stated:
    """Return honest sources of whose claims a share is wrong; by instance, those about unclear texts."""
    labels_SN = _honest(subjects, rng)
    chance_N = np.full(len(subjects.truth_N), share)
    if flip is to_the_nearest:
        chance_N = _by_instance(subjects, share)
    for source in range(SOURCES):
        rows = np.flatnonzero((labels_SN[source] >= 0) & (rng.random(len(chance_N)) < chance_N))
        labels_SN[source, rows] = flip(subjects, rng, rows)
    return Stated(labels_SN, subjects, _audit(subjects, rng))


def one_liar(subjects: Subjects, rng: np.random.Generator, share: float, copies: int) -> Stated:
    """Return honest sources, and a liar with its copies, under names and origins of their own.

    With three copies, a share of all claims is wrong; with fewer, the liar lies as often, in fewer claims.
    """
    honest = flipped(subjects, rng, SLIPS, at_random).labels_SN
    liar_N = _honest(subjects, rng)[0]
    rate = (share * (SOURCES + 1 + COPIES) - SLIPS * SOURCES) / (1 + COPIES)
    rows = np.flatnonzero((liar_N >= 0) & (rng.random(len(liar_N)) < rate))
    liar_N[rows] = at_random(subjects, rng, rows)
    labels_SN = np.concatenate([honest, np.repeat(liar_N[None], 1 + copies, axis=0)])
    return Stated(labels_SN, subjects, _audit(subjects, rng))


def ways(subjects: Subjects, rng: np.random.Generator, share: float) -> dict[str, Stated]:
    """Return the claims of each way of being wrong."""
    return {
        "random": flipped(subjects, rng, share, at_random),
        "pair flips": flipped(subjects, rng, share, to_the_next),
        "by instance": flipped(subjects, rng, share, to_the_nearest),
        "copied liar": one_liar(subjects, rng, share, COPIES),
    }


def _honest(subjects: Subjects, rng: np.random.Generator) -> Labels:
    """Return true labels of a random share of the subjects for each source; each subject has a claim."""
    count = len(subjects.truth_N)
    stated_SN = rng.random((SOURCES, count)) < STATED
    silent = ~stated_SN.any(axis=0)
    stated_SN[rng.integers(0, SOURCES, count)[silent], np.flatnonzero(silent)] = True
    return np.where(stated_SN, subjects.truth_N, -1)


def _audit(subjects: Subjects, rng: np.random.Generator) -> Labels:
    known = rng.permutation(len(subjects.truth_N))[: round(AUDITED * len(subjects.truth_N))]
    audit_N = np.full(len(subjects.truth_N), -1, np.int64)
    audit_N[known] = subjects.truth_N[known]
    return audit_N


def _by_instance(subjects: Subjects, share: float) -> NDArray[np.float64]:
    """Return the chance of an error of each subject: greater where another label's mean is as near."""
    scores_NK = _centroid_scores(subjects)
    rows = np.arange(len(scores_NK))
    own_N = scores_NK[rows, subjects.truth_N]
    scores_NK[rows, subjects.truth_N] = -np.inf
    unclear_N = np.exp(-8.0 * np.maximum(own_N - scores_NK.max(axis=1), 0.0))
    chance_N = np.zeros(len(unclear_N))
    for _ in range(20):  # no chance exceeds 0.9, and their mean is the share
        chance_N = np.minimum(0.9, unclear_N)
        unclear_N = unclear_N * share / chance_N.mean()
    return np.asarray(np.minimum(0.9, unclear_N), np.float64)


def _centroid_scores(subjects: Subjects) -> NDArray[np.float64]:
    points_ND = unit(subjects.points_ND).astype(np.float64)
    means_KD = np.stack(
        [points_ND[subjects.truth_N == label].mean(axis=0) for label in range(subjects.classes)]
    )
    found: NDArray[np.float64] = points_ND @ unit(means_KD.astype(np.float32)).T.astype(np.float64)
    return found
