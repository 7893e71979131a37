"""Choice of masked tokens, and their replacements.

Legend: T tokens of a text.
"""

from __future__ import annotations

import numpy as np

from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary

IGNORED = -100
"""Label of a token that is not to be predicted."""

_MASKED, _RANDOM = 0.8, 0.1


def choose(
    text: Text, vocabulary: Vocabulary, rate: float, whole_words: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose tokens to be predicted, each with the same probability; at least one.

    Special tokens (unknown ones too) and hidden ones are never chosen; a text of only such tokens has none.

    Args:
        text: of T tokens.
        vocabulary: knows special tokens, and where words begin.
        rate: probability of a token, or of a word.
        whole_words: choose words with all their tokens.
        rng: the only source of randomness.

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
    """Return the true tokens where they are to be predicted, and `IGNORED` elsewhere: `[B, T]` int64.

    Args:
        texts: before they were masked.
        chosen: mask of the tokens to be predicted, of each.
        first: special tokens before a text.
        shape: of the padded batch.
    """
    labels = np.full(shape, IGNORED, dtype=np.int64)
    for row, text, flags in zip(labels, texts, chosen, strict=True):
        row[first : first + len(text)][flags] = text.tokens[flags]
    return labels
