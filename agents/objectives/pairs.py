"""Pairs of consecutive segments of a document, and their binary classification.

Legend: B documents, T tokens, W width of the backbone.
"""

from __future__ import annotations

import numpy as np

from agents.lazy_torch import F, nn
from agents.objectives.base import LossOutput, Ratio, Step
from agents.text.collate import split_budget
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary

UNCLASSIFIED = -100
"""Label of a pair that is encoded but not classified, as in `torch.nn.functional.cross_entropy`."""


def segments(
    text: Text, budget: int, vocabulary: Vocabulary, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a document in two at random, where a sentence begins.

    Sentences around the cut are joined on either side until the budget is filled, and the outermost ones
    truncated, so that the two segments are adjacent. In a long document both are equally long, so that length
    does not reveal their order. In a single sentence the cut is at the beginning of a word, in a single word
    between tokens. A single token makes both segments.

    Args:
        text: the document.
        budget: tokens of both segments together, at least two; one of an odd number is unused.
        vocabulary: knows where words begin.
        rng: draws the cut, each with the same probability.

    Returns:
        Token ids of the first segment and of the second, at least one each.

    Source: Devlin et al., BERT, 2019, who pack several sentences into either segment.
    """
    tokens = text.tokens
    if len(tokens) == 1:
        return tokens, tokens
    places = _places(text, vocabulary)
    cut = int(places[rng.integers(0, len(places))])
    before, after = split_budget(cut, len(tokens) - cut, budget - budget % 2)
    return tokens[cut - before : cut], tokens[cut : cut + after]


def piece(text: Text, length: int, vocabulary: Vocabulary, rng: np.random.Generator) -> np.ndarray:
    """Return tokens that could be a second segment of this document.

    It begins where one of `segments` could, and has the given length, or the largest possible one: neither
    position nor length distinguishes it from the second segment of another document.
    """
    if len(text) == 1:
        return text.tokens
    places = _places(text, vocabulary)
    enough = places[places <= len(text) - length]
    start = int(enough[rng.integers(0, len(enough))]) if len(enough) else int(places[0])
    return text.tokens[start : start + length]


def _places(text: Text, vocabulary: Vocabulary) -> np.ndarray:
    """Return the positions at which a document of at least two tokens may be cut."""
    if len(text.sentences) > 1:
        return text.sentences[1:]
    words = vocabulary.words(text.tokens)[1:]
    return words if len(words) else np.arange(1, len(text))


def classify(step: Step, head: nn.Module, metric: str) -> LossOutput:
    """Classify every pair into two classes; the pooled states are offered to exchanges.

    Args:
        step: its inputs are ``pairs``, a batch, and ``labels`` `[B]`: 0, 1 or `UNCLASSIFIED`.
        head: pooled states `[B, W]` to logits `[B, 2]`.
        metric: name of the accuracy.

    Returns:
        The cross-entropy in nats, a mean over the classified pairs; 0 where there is none.
    """
    pairs, labels_B = step.inputs["pairs"], step.inputs["labels"]
    pooled_BW = step.encode(pairs)
    logits_B2 = head(pooled_BW).float()
    classified = (labels_B != UNCLASSIFIED).sum()
    nats = F.cross_entropy(logits_B2, labels_B, ignore_index=UNCLASSIFIED, reduction="sum")
    right = (logits_B2.argmax(dim=1) == labels_B).sum()
    return LossOutput(
        nats / classified.clamp(min=1),
        pairs.lengths,
        (pooled_BW,),
        {metric: Ratio(right, classified)},
    )
