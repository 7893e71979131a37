"""Texts that an attack is measured on: private ones of an agent, and held-out ones of the same labels."""

from __future__ import annotations

import numpy as np

from agentos.data.corpus import Corpus, IntArray
from protocols.errors import DataError
from protocols.seeding import generator

LEAST_TEXTS = 20
"""Fewest members, and others, that an attack is measured on."""


def alike(corpus: Corpus, agent: int, documents: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw private texts of an agent, and as many held-out ones of each label.

    Otherwise an attack would tell labels apart and seem to tell members. Texts that several agents read are
    left out.

    Raises:
        DataError: there are fewer than `LEAST_TEXTS` of either.
    """
    read_elsewhere = [shard for other, shard in enumerate(corpus.shards) if other != agent]
    own = np.setdiff1d(corpus.shards[agent], np.concatenate([*read_elsewhere, corpus.anchors]))
    pairs = [
        (mine[: min(len(mine), len(theirs))], theirs[: min(len(mine), len(theirs))])
        for mine, theirs in _by_label(corpus, own, seed)
    ]
    members, others = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    drawn = generator(seed, "audited texts", agent).permutation(len(members))[:documents]
    if len(drawn) < LEAST_TEXTS:
        raise DataError(
            f"agent {agent} has too few private texts with held-out ones of the same labels",
            expected=f"at least {LEAST_TEXTS}",
            actual=len(drawn),
            hint="raise data.heldout",
        )
    return corpus.texts(members[drawn]), corpus.texts(others[drawn])


def _by_label(corpus: Corpus, own: IntArray, seed: int) -> list[tuple[IntArray, IntArray]]:
    """Return private and held-out rows of each label, in a random order."""
    draws = generator(seed, "texts alike")
    own, heldout = draws.permutation(own), draws.permutation(corpus.heldout)
    own_labels, heldout_labels = np.array(corpus.labels(own)), np.array(corpus.labels(heldout))
    names = sorted({str(label) for label in own_labels})
    return [
        (own[own_labels.astype(str) == name], heldout[heldout_labels.astype(str) == name])
        for name in names
    ]
