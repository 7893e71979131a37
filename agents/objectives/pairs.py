"""Pairs of consecutive segments of a document, and the question that is asked about them.

Legend: B documents, T tokens, W width of the backbone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.batching import share
from agents.lazy import F
from agents.objectives.base import Objected, Ratio, Step

if TYPE_CHECKING:
    from torch import nn

    from agents.text import Text
    from agents.vocabulary import Vocabulary

ASIDE = -100
"""Label of a pair that is encoded but not asked about, as `torch.nn.functional.cross_entropy` has it."""


def segments(
    text: Text, budget: int, vocabulary: Vocabulary, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a document in two where one of its sentences begins.

    The sentences around the cut are joined on either side until the budget is filled; the outermost ones are
    cut off, so that the two segments meet. A document of one sentence is cut where its middle word
    begins, a single word at its middle token. A single token makes both segments.

    Args:
        text: the document.
        budget: tokens of both segments together, at least two.
        vocabulary: tells where words begin.
        rng: draws the sentence, each with the same probability.

    Returns:
        Token ids of the first segment and of the second, at least one each.

    Source: Devlin et al., BERT, 2019, who pack several sentences into either segment.
    """
    tokens = text.tokens
    if len(tokens) == 1:
        return tokens, tokens
    cuts = text.sentences[1:]
    if not len(cuts):
        words = vocabulary.words(tokens)[1:]
        cuts = words[len(words) // 2 :][:1] if len(words) else np.array([len(tokens) // 2])
    cut = int(cuts[rng.integers(0, len(cuts))])
    before, after = share(cut, len(tokens) - cut, budget)
    return tokens[cut - before : cut], tokens[cut : cut + after]


def classify(step: Step, head: nn.Module, metric: str) -> Objected:
    """Ask a question of two answers about every pair; the pooled states are offered to exchanges.

    Args:
        step: its inputs are ``pairs``, a batch, and ``labels`` `[B]`: 0, 1 or `ASIDE`.
        head: pooled states `[B, W]` to logits `[B, 2]`.
        metric: name of the share of right answers.

    Returns:
        The cross-entropy in nats, a mean over the pairs asked about; 0 where there is none.
    """
    pairs, labels_B = step.inputs["pairs"], step.inputs["labels"]
    pooled_BW = step.encode(pairs)
    logits_B2 = head(pooled_BW).float()
    asked = (labels_B != ASIDE).sum()
    nats = F.cross_entropy(logits_B2, labels_B, ignore_index=ASIDE, reduction="sum")
    right = (logits_B2.argmax(dim=1) == labels_B).sum()
    return Objected(
        nats / asked.clamp(min=1), pairs.lengths, (pooled_BW,), {metric: Ratio(right, asked)}
    )
