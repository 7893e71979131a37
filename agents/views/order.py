"""Views that reorder words or sentences and keep every token."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agents.text.tokens import Text, lengths_of
from agents.views.base import Setting, View, word_starts


class WordSwap(View):
    """Swaps of random pairs of words.

    In W words, ``max(1, round(p W))`` pairs are swapped one after another, so a word may move twice.
    Sentences keep their number of words.

    Source: Wei and Zou, EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
    Classification Tasks, 2019.
    """

    kind: Literal["word_swap"] = "word_swap"
    p: float = Field(0.1, ge=0.0, le=1.0, description="Swaps for each word of the document.")

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document with words swapped; see `View.apply`."""
        starts = word_starts(text, setting)
        words = len(starts)
        if words < 2 or self.p == 0.0:
            return text
        swaps = max(1, round(self.p * words))
        firsts = rng.integers(words, size=swaps).tolist()
        # A distance of 1 to W - 1, wrapped around the end, reaches every other word equally often.
        distances = rng.integers(1, words, size=swaps).tolist()
        order = list(range(words))
        for one, distance in zip(firsts, distances, strict=True):
            other = (one + distance) % words
            order[one], order[other] = order[other], order[one]
        places, begins = _rearrange(starts, np.array(order), len(text))
        # A sentence keeps its word index, so it begins where the word now at that index does.
        return text.take(places, begins[np.searchsorted(starts, text.sentences)])


class SentenceReordering(View):
    """Sentences in random order, with all orders equally likely.

    Source: Lewis et al., BART: Denoising Sequence-to-Sequence Pre-training, 2020.
    """

    kind: Literal["sentence_reordering"] = "sentence_reordering"

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document with its sentences shuffled; see `View.apply`."""
        if len(text.sentences) < 2:
            return text
        order = rng.permutation(len(text.sentences))
        places, begins = _rearrange(text.sentences, order, len(text))
        return text.take(places, begins)


def _rearrange(starts: np.ndarray, order: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Reorder the parts of a text.

    Args:
        starts: `[N]`, starts of the parts: ascending, the first at 0.
        order: `[N]`, a permutation: index of the part that comes first, second, and so on.
        length: T, tokens of the text.

    Returns:
        `[T]`, the former place of each token, and `[N]`, the new starts of the parts.
    """
    # Within a part, a token's former place is its new one plus a constant: old start minus new start.
    lengths = lengths_of(starts, length)[order]
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts[order] - begins, lengths) + np.arange(length), begins
