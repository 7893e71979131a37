"""Tokens that a language model has to predict: which ones are masked, by what, and the labels of a batch.

Legend: B texts of a batch, T tokens of a text.
"""

from __future__ import annotations

import numpy as np

from agents.text.collate import Collator, Padded
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary

IGNORED = -100
"""Label of a token that is not predicted, as `torch.nn.functional.cross_entropy` has it."""

_MASKED, _RANDOM = 0.8, 0.1


def choose_tokens(
    text: Text, vocabulary: Vocabulary, rate: float, whole_words: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose the tokens to be predicted, each with the same probability; at least one.

    Special tokens (unknown ones too) and hidden ones are never chosen, so none is chosen in a text that
    consists of them.

    Args:
        text: of T tokens.
        vocabulary: of the tokenizer.
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
    # Indexing the draws by unit gives all tokens of a word the same one.
    chosen: np.ndarray = allowed & (rng.random(len(text))[units] < rate)
    if not chosen.any() and allowed.any():
        places = np.flatnonzero(allowed)
        chosen = allowed & (units == units[places[rng.integers(len(places))]])
    return chosen


def corrupt(
    text: Text, chosen: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator
) -> Text:
    """Replace chosen tokens: 80 % by the mask, 10 % by a random ordinary token; 10 % stay.

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding, 2019.
    """
    # Drawn for every token, chosen or not, so that the draws do not depend on the choice.
    draws = rng.random(len(text))
    random_tokens = vocabulary.ordinary[rng.integers(len(vocabulary.ordinary), size=len(text))]
    replacements = np.where(draws < _MASKED + _RANDOM, random_tokens, text.tokens)
    replacements[draws < _MASKED] = vocabulary.mask()
    return text.with_tokens(np.where(chosen, replacements, text.tokens))


def masked_labels(
    texts: list[Text], chosen: list[np.ndarray], first: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the true tokens where they are to be predicted, and `IGNORED` elsewhere: `[B, T]` int64.

    Args:
        texts: before they were masked.
        chosen: flags of the tokens to be predicted in each text, from `choose_tokens`.
        first: number of special tokens before a text.
        shape: of the padded batch.
    """
    labels = np.full(shape, IGNORED, dtype=np.int64)
    for row, text, flags in zip(labels, texts, chosen, strict=True):
        row[first : first + len(text)][flags] = text.tokens[flags]
    return labels


def next_token_labels(batch: Padded, complete: np.ndarray, collate: Collator) -> np.ndarray:
    """Return for every token the one that follows it, or `IGNORED`: `[B, T]` int64.

    Args:
        batch: B padded texts.
        complete: `[B]` bool, texts that end here and were not cut: after them the end-of-text token is
            predicted.
        collate: the collator that padded them.
    """
    seen = batch.attention_mask.astype(bool)
    labels: np.ndarray = np.full(batch.input_ids.shape, IGNORED, dtype=np.int64)
    labels[:, :-1] = np.where(seen[:, 1:] & seen[:, :-1], batch.input_ids[:, 1:], IGNORED)
    last = batch.lengths - len(collate.suffix) - 1
    labels[np.arange(labels.shape[1]) >= last[:, None]] = IGNORED
    if collate.end_token is not None:
        rows = np.flatnonzero(complete & (last >= 0))
        rows = rows[seen[rows, last[rows]]]
        labels[rows, last[rows]] = collate.end_token
    return labels
