"""What a view is: a random variant of a document, two of which make a positive pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from agents.text.tokens import Text
from protocols.spec import Spec

if TYPE_CHECKING:
    from agents.text.thesaurus import Thesaurus
    from agents.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Setting:
    """What a view may ask about where it is used.

    Attributes:
        budget: tokens that the encoder will read at most, special tokens not counted.
        vocabulary: of the encoder's tokenizer.
        thesaurus: learnt from the agent's own text when it is first used; None where there is no agent.
    """

    budget: int
    vocabulary: Vocabulary
    thesaurus: Thesaurus | None = None


class View(Spec, ABC):
    """A random variant of a document.

    A view works on token ids without special tokens. It never empties a text, and it draws from the
    generator it is given and from nothing else.
    """

    kind: str
    relies_on_dropout: ClassVar[bool] = False

    @property
    def leaves_blanks(self) -> bool:
        """Whether the agent's own masked language model must fill in what the view leaves blank."""
        return False

    def check(self, setting: Setting) -> None:
        """Refuse, before a run starts, what the view cannot do where it is used."""
        return

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


def views_of(spec: Spec) -> Iterator[View]:
    """Yield the views among the parameters of a specification, by whatever name."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        values = value if isinstance(value, tuple) else (value,)
        yield from (view for view in values if isinstance(view, View))


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
