"""Generation: decoders write a text together, token by token."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentos.data.sources import SOURCES
from agentos.data.sources.base import Document, Source
from agentos.tasks.kinds.base import TaskKind
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Kinds


class Generate(TaskKind):
    """Writing together: the next token is drawn from a mixture of decoders.

    Source: Gururangan et al., Scaling Expert Language Models with Unsupervised Domain Discovery, 2023.
    """

    kind: Literal["generate"] = "generate"
    source: Annotated[Source, Kinds(SOURCES)] = Field(
        ...,
        description="Texts to predict; their labels, where they have some, are domains of the table.",
    )
    max_length: int = Field(
        48, ge=4, le=4096, description="Tokens of a text, special tokens included."
    )
    limit: int = Field(300, ge=10, le=100_000, description="Texts that are used, at most.")
    new_tokens: int = Field(
        40, ge=1, le=4096, description="Tokens that are added to a prompt, at most."
    )
    temperature: float = Field(
        1.0, ge=0.0, le=100.0, description="Divides the log-probabilities; 0 for the most probable."
    )
    sent: int | None = Field(
        None, ge=1, description="Most probable tokens that each agent sends; unset: all."
    )

    def read(self, seed: int) -> list[Document]:
        """Return the texts of the source, or a sample of them, in the source's order.

        Raises:
            DataError: the source cannot be read.
            ConfigurationError: there are fewer than ten texts.
        """
        found = [each for each in self.source.documents() if each.text.strip()]
        if len(found) < 10:
            raise ConfigurationError(
                "there are too few texts to measure decoders on",
                expected="at least 10 texts",
                actual=len(found),
                hint="give another task.source",
            )
        chosen = generator(seed, "task", "sample").permutation(len(found))[: self.limit]
        return [found[row] for row in sorted(chosen.tolist())]
