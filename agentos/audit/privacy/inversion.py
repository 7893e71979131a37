"""Inversion: which words of a private text does its embedding give away?

Legend: N texts, V words of the vocabulary, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import RidgeCV

from protocols.errors import DataError

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
_VOCABULARY, _LEAST = 2_000, 3


@dataclass(frozen=True)
class Inversion:
    """Words recovered from embeddings, each a mean over texts.

    Attributes:
        f1: harmonic mean of precision and recall of the words that are named.
        floor: the same for naming the most frequent words of public text for every embedding.
        gain: `[N]` float64, f1 less floor of each text.
        named: words named of each text.
    """

    f1: float
    floor: float
    gain: NDArray[np.float64]
    named: int


def inversion(embed: Embed, anchors: Sequence[str], private: Sequence[str]) -> Inversion:
    """Recover words of private texts from their embeddings, having learnt from public texts alone.

    Ridge regression from embeddings to the presence of each word; the likeliest are named, as many as a
    public text has. Words that the attacker's vocabulary lacks count as missed. Stop words do not count.

    Args:
        embed: embeds as the attacked agent does; the attacker has its embeddings of the anchors.
        anchors: public texts.
        private: texts whose embeddings were sent.

    Raises:
        DataError: the public texts share too few words to learn from.

    Source: Song and Raghunathan, Information Leakage in Embedding Models, 2020.
    """
    public_NV, counter = _vocabulary(anchors)
    named = max(1, round(float(public_NV.sum(axis=1).mean())))
    attack = RidgeCV(alphas=np.logspace(-2, 4, 7)).fit(_units(embed(anchors)), public_NV)
    scores_NV = attack.predict(_units(embed(private)))
    frequent_V = public_NV.mean(axis=0)
    words = [set(counter.build_analyzer()(text)) for text in private]
    vocabulary = counter.get_feature_names_out()
    found = _f1(scores_NV, words, vocabulary, named)
    floor = _f1(np.tile(frequent_V, (len(private), 1)), words, vocabulary, named)
    return Inversion(float(found.mean()), float(floor.mean()), found - floor, named)


def _vocabulary(anchors: Sequence[str]) -> tuple[NDArray[np.float64], CountVectorizer]:
    counter = CountVectorizer(
        binary=True, min_df=_LEAST, max_features=_VOCABULARY, stop_words="english"
    )
    try:
        return counter.fit_transform(anchors).toarray().astype(np.float64), counter
    except ValueError as error:
        raise DataError(
            "the public texts share too few words to learn an inversion from",
            expected=f"words in at least {_LEAST} of {len(anchors)} anchors",
            hint="raise data.anchors",
        ) from error


def _f1(
    scores_NV: NDArray[np.float64],
    words: Sequence[set[str]],
    vocabulary: NDArray[np.str_],
    named: int,
) -> NDArray[np.float64]:
    """Return the F1 `[N]` of naming the words with the highest scores; 0 for a text without words."""
    order = np.argsort(-scores_NV, axis=1, kind="stable")[:, :named]
    found = []
    for row, truth in zip(order, words, strict=True):
        hits = sum(str(word) in truth for word in vocabulary[row])
        found.append(2 * hits / (len(row) + len(truth)) if truth else 0.0)
    return np.array(found)


def _units(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    units: NDArray[np.float64] = values / np.maximum(
        np.linalg.norm(values, axis=1, keepdims=True), 1e-12
    )
    return units
