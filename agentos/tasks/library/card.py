"""The card of a model, and the library that keeps the cards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError
from typing_extensions import Self

from agentos.preflight.flops import Size
from agentos.records.atomic_files import damaged, write_json
from protocols.errors import ConfigurationError
from protocols.spec import Spec


class ModelCard(Spec):
    """Model card: the facts known of a model that may work on tasks."""

    name: str = Field(..., min_length=1, description="Name in the library.")
    path: str = Field(..., min_length=1, description="Folder that holds it.")
    architecture: str = Field(..., description="Model type, such as bert.")
    parameters: int = Field(
        ..., ge=1, description="Parameters of the backbone, embeddings included."
    )
    matrix_parameters: int = Field(
        ..., ge=0, description="Parameters that each token passes: without embedding tables."
    )
    layers: int = Field(..., ge=0, description="Blocks with attention.")
    state_width: int = Field(..., ge=1, description="Width of a token's state.")
    width: int = Field(..., ge=1, description="Width of its embeddings.")
    context: int = Field(..., ge=1, description="Most tokens of a text, special tokens included.")
    languages: tuple[str, ...] = Field(
        (), description="Codes of its languages, where they are known."
    )
    run: str | None = Field(None, description="Run folder that made it; null for other models.")
    agent: int | None = Field(None, ge=0, description="Its number in that run.")
    measured: dict[str, float] = Field(
        default_factory=dict, description="Metrics at the end of that run."
    )
    measured_on: str | None = Field(None, description="Text that they were measured on.")
    origin: str = Field(
        ..., min_length=1, description="Digest of its weights, equal for copies in any file format."
    )

    def flops(self, length: int, tokens: int = 1) -> int:
        """Return the floating-point operations for so many tokens of texts of a length.

        Example:
            >>> card.flops(length=32, tokens=32)  # doctest: +SKIP
            27131904
        """
        size = Size(self.matrix_parameters, self.layers, self.state_width)
        return size.flops(length, trained=0, embedded=tokens)

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations for a token of a text that fills the context."""
        return self.flops(self.context)


class Library(Spec):
    """The models that may work, each by its name."""

    cards: tuple[ModelCard, ...] = Field((), description="Cards, in the order in which they came.")

    def add(self, cards: Iterable[ModelCard]) -> Self:
        """Return the library with further models.

        Raises:
            ConfigurationError: a name is taken.
        """
        together = (*self.cards, *cards)
        names = [card.name for card in together]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ConfigurationError(
                    "the library has a model of this name already",
                    expected="a name that is not taken",
                    actual=name,
                    hint="give the model another name, or remove the one that has it",
                )
        return self.model_copy(update={"cards": together})

    def remove(self, name: str) -> Self:
        """Return the library without a model; its folder stays as it is.

        Raises:
            ConfigurationError: there is no model of this name.
        """
        removed = self.find(name)
        left = tuple(card for card in self.cards if card is not removed)
        return self.model_copy(update={"cards": left})

    def find(self, name: str) -> ModelCard:
        """Return the card of a model.

        Raises:
            ConfigurationError: there is no model of this name.
        """
        for card in self.cards:
            if card.name == name:
                return card
        raise ConfigurationError(
            "the library has no model of this name",
            expected=f"one of {', '.join(card.name for card in self.cards) or 'none: it is empty'}",
            actual=name,
            hint="add the model, or correct its name",
        )

    def origins(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the models of each origin; several are copies of each other."""
        found: dict[str, tuple[str, ...]] = {}
        for card in self.cards:
            found[card.origin] = (*found.get(card.origin, ()), card.name)
        return found

    def save(self, path: Path) -> None:
        """Write the library as JSON, whole or not at all.

        Raises:
            RecordError: the file cannot be written.
        """
        write_json(path, self.model_dump(mode="json"), indent=2)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a library; a missing file is an empty one.

        Raises:
            RecordError: the file does not hold a library.
            ConfigurationError: it holds a name twice.
        """
        if not path.exists():
            return cls()
        try:
            read = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise damaged(path, "a library of models", str(error).partition("\n")[0]) from error
        return cls().add(read.cards)
