"""Views, random variants of a document, and the table of their kinds."""

from __future__ import annotations

from agents.views.base import Setting, View, compose, views_of
from agents.views.deletion import TokenCutoff, WordDeletion
from agents.views.order import SentenceReordering, WordSwap
from agents.views.spans import Crop, Dropout
from agents.views.substitution import CharacterNoise, WordReplacement

VIEWS: dict[str, type[View]] = {
    "crop": Crop,
    "dropout": Dropout,
    "word_deletion": WordDeletion,
    "word_swap": WordSwap,
    "word_replacement": WordReplacement,
    "character_noise": CharacterNoise,
    "sentence_reordering": SentenceReordering,
    "token_cutoff": TokenCutoff,
}

__all__ = [
    "VIEWS",
    "CharacterNoise",
    "Crop",
    "Dropout",
    "SentenceReordering",
    "Setting",
    "TokenCutoff",
    "View",
    "WordDeletion",
    "WordReplacement",
    "WordSwap",
    "compose",
    "views_of",
]
