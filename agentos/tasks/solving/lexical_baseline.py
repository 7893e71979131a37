"""Lexical baseline: TF-IDF with logistic regression, which every society has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def lexical_probabilities(
    texts: Sequence[str], labels: NDArray[np.int64], asked: Sequence[str], words: int
) -> NDArray[np.float64]:
    """Return class probabilities `[Q, K]` of texts from the words of labelled ones.

    Args:
        texts: N texts of the split ``fit``.
        labels: `[N]`, codes from 0 to K - 1, each at least once.
        asked: Q texts.
        words: first words of a text that count, as encoders see so many tokens.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(cut(texts, words), labels)
    found: NDArray[np.float64] = model.predict_proba(cut(asked, words))
    return found


def cut(texts: Sequence[str], words: int) -> list[str]:
    """Return the first words of each text."""
    return [" ".join(text.split()[:words]) for text in texts]
