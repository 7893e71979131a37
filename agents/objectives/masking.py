"""Which tokens of a text are masked, and what takes their place.

Legend: T tokens of a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.text.tokens import Text

if TYPE_CHECKING:
    from agents.text.vocabulary import Vocabulary

IGNORED = -100
"""Label of a token that nothing is to be guessed for."""

_MASKED, _RANDOM = 0.8, 0.1


def choose(
    text: Text, vocabulary: Vocabulary, rate: float, whole_words: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose tokens to be guessed, each with the same probability; at least one.

    Special tokens (unknown ones too) and hidden ones are never chosen; a text of nothing else has none.

    Args:
        text: of T tokens.
        vocabulary: says which tokens are special, and where words begin.
        rate: probability of a token, or of a word.
        whole_words: choose words with all their tokens.
        rng: the only source of chance.

    Returns:
        `[T]` bool.
    """
    allowed = ~vocabulary.special[text.tokens]
    if text.hidden is not None:
        allowed &= ~text.hidden
    units = np.arange(len(text))
    if whole_words:
        begins = np.zeros(len(text), dtype=np.int64)
        begins[vocabulary.words(text.tokens)] = 1
        units = np.cumsum(begins) - 1
    chosen: np.ndarray = allowed & (rng.random(len(text))[units] < rate)
    if not chosen.any() and allowed.any():
        places = np.flatnonzero(allowed)
        chosen = allowed & (units == units[places[rng.integers(len(places))]])
    return chosen


def corrupt(
    text: Text, chosen: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator
) -> Text:
    """Replace chosen tokens: 80 % by the mask, 10 % by a random ordinary token, 10 % stay.

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding, 2019.
    """
    fate = rng.random(len(text))
    strangers = vocabulary.ordinary[rng.integers(len(vocabulary.ordinary), size=len(text))]
    instead = np.where(fate < _MASKED + _RANDOM, strangers, text.tokens)
    instead[fate < _MASKED] = vocabulary.mask()
    return text.with_tokens(np.where(chosen, instead, text.tokens))


def labels_of(
    texts: list[Text], chosen: list[np.ndarray], first: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the true tokens where they are to be guessed, and `IGNORED` elsewhere: `[B, T]` int64.

    Args:
        texts: before they were masked.
        chosen: what to guess of each.
        first: special tokens before a text.
        shape: of the padded batch.
    """
    labels = np.full(shape, IGNORED, dtype=np.int64)
    for row, text, flags in zip(labels, texts, chosen, strict=True):
        row[first : first + len(text)][flags] = text.tokens[flags]
    return labels
