"""Views that replace or misspell random words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from agents.text.tokens import Text, key_of, lengths_of
from agents.text.wordnet import installed
from agents.views.base import Setting, View, word_starts

Substitute = Callable[[bytes, float], "np.ndarray | None"]
"""Maps the key of a word and a draw in [0, 1) to its replacement's tokens; None keeps the word."""


class WordReplacement(View):
    """Replacement of random words by synonyms.

    The source ``thesaurus`` is learnt from the agent's own text (`agents.text.thesaurus.Thesaurus`),
    ``wordnet`` is a lexicon installed with the package `wn`, and ``masked_lm`` is the agent's own masked
    language model, which the run must train.

    Source: Wei and Zou, EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
    Classification Tasks, 2019; for masked_lm, Kobayashi, Contextual Augmentation, 2018.
    """

    kind: Literal["word_replacement"] = "word_replacement"
    p: float = Field(
        0.1, ge=0.0, le=1.0, description="Probability that a word is replaced, if it has synonyms."
    )
    source: Literal["thesaurus", "wordnet", "masked_lm"] = Field(
        "thesaurus",
        description="Source of the synonyms: the agent's text, an installed WordNet, or the agent's own "
        "masked language model (for words of one token).",
    )
    choices: int = Field(
        5, ge=1, le=10, description="Nearest words of the thesaurus to choose from."
    )

    @property
    def needs_infilling(self) -> bool:
        """Return whether the agent's masked language model has to replace the mask tokens that are left."""
        return self.source == "masked_lm"

    def check(self, setting: Setting) -> None:
        """Raise an error if WordNet is not installed, or the tokenizer lacks the mask token."""
        if self.source == "wordnet":
            installed()
        elif self.source == "masked_lm":
            setting.vocabulary.mask()

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document with words replaced; see `View.apply`."""
        starts = word_starts(text, setting)
        chosen = np.flatnonzero(rng.random(len(starts)) < self.p)
        if self.source == "masked_lm":
            return _mask_for_infill(text, starts, chosen, setting)
        return substitute(text, starts, chosen, rng, self._substitute(setting))

    def _substitute(self, setting: Setting) -> Substitute:
        if self.source == "wordnet":
            synonyms, choices = setting.vocabulary.wordnet.synonyms, None
        elif setting.thesaurus is None:
            raise ValueError("word_replacement by the thesaurus needs Setting.thesaurus")
        else:
            synonyms, choices = setting.thesaurus.synonyms, self.choices

        def choose(word: bytes, draw: float) -> np.ndarray | None:
            found = synonyms(word)[:choices]
            return found[int(draw * len(found))] if found else None

        return choose


class CharacterNoise(View):
    """Typos: a letter deleted, inserted, substituted, or swapped with the next, one in each chosen word.

    The typo lies within one token of the word, for which there are four variants. The result is tokenised
    again, so the text may become longer. Punctuation stays, as do tokens whose misspelt form the tokenizer
    cannot encode.

    Source: Belinkov and Bisk, Synthetic and Natural Noise Both Break Neural Machine Translation, 2018.
    """

    kind: Literal["character_noise"] = "character_noise"
    p: float = Field(0.1, ge=0.0, le=1.0, description="Probability that a word is misspelt.")

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the document with words misspelt; see `View.apply`."""
        starts = word_starts(text, setting)
        chosen = np.flatnonzero(rng.random(len(starts)) < self.p)
        lengths = lengths_of(starts, len(text))[chosen]
        draws = rng.random((2, len(chosen)))
        # The chosen token is uniform within the word, and only that token is misspelt.
        places = starts[chosen] + (draws[0] * lengths).astype(np.int64)
        misspelt, tokens = setting.vocabulary.typos.draw(text.tokens[places], draws[1])
        return text.with_words(np.arange(len(text)), places[misspelt], tokens) if tokens else text


def substitute(
    text: Text,
    starts: np.ndarray,
    chosen: np.ndarray,
    rng: np.random.Generator,
    find: Substitute,
) -> Text:
    """Replace words; sentences keep their number of words.

    Args:
        text: of W words.
        starts: `[W]`, starts of the words.
        chosen: `[C]`, indices of the words to replace.
        rng: draws a number for each of them.
        find: returns the replacement of a word.
    """
    key, ends = key_of(text.tokens), starts + lengths_of(starts, len(text))
    places: list[int] = []
    words: list[np.ndarray] = []
    draws = rng.random(len(chosen)).tolist()
    for place, start, end, draw in zip(
        chosen.tolist(), starts[chosen].tolist(), ends[chosen].tolist(), draws, strict=True
    ):
        word = find(key[4 * start : 4 * end], draw)
        if word is not None:
            places.append(place)
            words.append(word)
    return text.with_words(starts, places, words) if words else text


def _mask_for_infill(text: Text, starts: np.ndarray, chosen: np.ndarray, setting: Setting) -> Text:
    """Mask the chosen words that consist of one ordinary token, for a language model to replace."""
    lengths = lengths_of(starts, len(text))
    places = starts[chosen[lengths[chosen] == 1]]
    places = places[~setting.vocabulary.special[text.tokens[places]]]
    if not len(places):
        return text
    tokens, infill = text.tokens.copy(), np.zeros(len(text), dtype=bool)
    tokens[places], infill[places] = setting.vocabulary.mask(), True
    return text.with_tokens(tokens).with_infill(infill)
