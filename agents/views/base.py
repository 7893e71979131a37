"""The interface of views: random variants of a document; two of one document form a positive pair."""

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
    """Encoder limits and vocabulary that a view works with.

    Attributes:
        budget: maximum number of tokens that the encoder reads, special tokens not counted.
        vocabulary: vocabulary of the encoder's tokenizer.
        thesaurus: learnt from the agent's own text on first use; None outside an agent.
    """

    budget: int
    vocabulary: Vocabulary
    thesaurus: Thesaurus | None = None


class View(Spec, ABC):
    """A random variant of a document.

    A view works on token ids without special tokens. It never empties a text, and the generator passed to it
    is its only source of randomness.
    """

    kind: str
    relies_on_dropout: ClassVar[bool] = False

    @property
    def needs_infilling(self) -> bool:
        """Return whether the view leaves mask tokens that the agent's own language model has to replace."""
        return False

    def check(self, setting: Setting) -> None:
        """Raise an error before a run starts if the view cannot work in this setting."""
        return

    @abstractmethod
    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return a variant of a document.

        Args:
            text: text of at least one token; not modified.
            setting: the setting of the encoder that reads the variant.
            rng: the only source of randomness.

        Returns:
            A text with at least one token that is not hidden.
        """


def views_of(spec: Spec) -> Iterator[View]:
    """Yield the views among the parameters of a specification."""
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
    """Return the starts of the words of a text `[W]`: ascending, the first at 0.

    Every start of a sentence is one too.
    """
    return np.flatnonzero(setting.vocabulary.begins(text.tokens, text.sentences))
