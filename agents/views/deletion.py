"""Views that delete or hide random words or tokens."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agents.text.tokens import Text, lengths_of
from agents.views.base import Setting, View, word_starts


class WordDeletion(View):
    """Deletion of random words, each with the same probability; at least one word stays.

    Source: Wei and Zou, EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
    Classification Tasks, 2019.
    """

    kind: Literal["word_deletion"] = "word_deletion"
    p: float = Field(0.1, ge=0.0, le=1.0, description="Probability that a word is deleted.")

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document without the deleted words; see `View.apply`."""
        starts = word_starts(text, setting)
        kept = rng.random(len(starts)) >= self.p
        if not kept.any():
            kept[rng.integers(len(starts))] = True
        if kept.all():
            return text
        return text.keep(np.repeat(kept, lengths_of(starts, len(text))))


class TokenCutoff(View):
    """Hiding of random tokens, which keep their places but are not attended to.

    Of T tokens, ``round(p T)`` are hidden; at least one stays visible.

    Source: Shen et al., A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language
    Understanding and Generation, 2020.
    """

    kind: Literal["token_cutoff"] = "token_cutoff"
    p: float = Field(0.15, ge=0.0, le=1.0, description="Share of tokens that are hidden.")

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document with tokens hidden; see `View.apply`."""
        visible = np.arange(len(text)) if text.hidden is None else np.flatnonzero(~text.hidden)
        count = min(round(self.p * len(visible)), len(visible) - 1)
        if not count:
            return text
        hidden = np.zeros(len(text), dtype=bool)
        hidden[rng.permutation(visible)[:count]] = True
        return text.with_hidden(hidden)
