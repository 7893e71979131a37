"""What a view is: a random variant of a document, two of which make a positive pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from agents.text import Text
from protocols.spec import Spec

if TYPE_CHECKING:
    from agents.vocabulary import Vocabulary


@dataclass(frozen=True)
class Setting:
    """What a view may ask about where it is used.

    Attributes:
        budget: tokens that the encoder will read at most, special tokens not counted.
        vocabulary: of the encoder's tokenizer.
    """

    budget: int
    vocabulary: Vocabulary


class View(Spec, ABC):
    """A random variant of a document.

    A view works on token ids without special tokens. It never empties a text, and it draws from the
    generator it is given and from nothing else.
    """

    kind: str
    relies_on_dropout: ClassVar[bool] = False

    @abstractmethod
    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return a variant of a document.

        Args:
            text: of at least one token; left unchanged.
            setting: where the view is used.
            rng: the only source of randomness.

        Returns:
            A text of at least one token, of which at least one is not hidden.
        """


def compose(views: Sequence[View], text: Text, setting: Setting, rng: np.random.Generator) -> Text:
    """Apply views one after another."""
    for view in views:
        text = view.apply(text, setting, rng)
    return text


def word_starts(text: Text, setting: Setting) -> np.ndarray:
    """Return where the words of a text begin, `[W]`: ascending, the first at 0.

    Where a sentence begins, a word does.
    """
    return np.flatnonzero(setting.vocabulary.begins(text.tokens, text.sentences))
