"""The agents that work on a task, and what each of them answers.

Legend: Q queries, A agents, D width of features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.library import ModelCard
from agents.answering import Answers, Examples, Head
from agents.answering.answers import Labels, Split


@dataclass(frozen=True)
class Member:
    """An agent on a panel.

    Attributes:
        card: the card of its model.
        head: what it answers with.
        accuracy: out-of-fold, on the texts that it was fitted on.
        fit_flops: FLOPs of fitting, embeddings and the heads fitted out of fold included.
    """

    card: ModelCard
    head: Head
    accuracy: float
    fit_flops: float


@dataclass(frozen=True)
class Embedded:
    """Queries as one agent reads them.

    Attributes:
        features: `[Q, D]`.
        tokens: `[Q]`, tokens that went through its encoder.
    """

    features: NDArray[np.floating]
    tokens: Labels


Embed = Callable[[int, Labels], Embedded]
"""Maps an agent and the ids of queries to their features."""
Count = Callable[[int, Labels], Labels]
"""Maps an agent and the ids of queries to the tokens that they put through its encoder."""


@dataclass(frozen=True)
class Queries:
    """Items that agents are asked about.

    Attributes:
        split: their purpose.
        ids: `[Q]`.
    """

    split: Split
    ids: Labels


@dataclass(frozen=True)
class Panel:
    """Agents with their heads and encoders.

    Attributes:
        members: the agents, the most accurate on `fit` first.
        classes: K.
        length: tokens of the longest text.
        embed: the encoders.
        count: counts tokens before anything is embedded; None where embeddings are there already.
    """

    members: tuple[Member, ...]
    classes: int
    length: int
    embed: Embed
    count: Count | None = None

    def __len__(self) -> int:
        return len(self.members)

    def flops(self, agent: int, tokens: Labels) -> NDArray[np.float64]:
        """Return the floating-point operations `[Q]` of an agent's answers to texts of so many tokens."""
        return self.embedding_flops(agent, tokens) + self.members[agent].head.flops

    def embedding_flops(self, agent: int, tokens: Labels) -> NDArray[np.float64]:
        """Return the floating-point operations `[Q]` of embedding texts of so many tokens."""
        return tokens.astype(np.float64) * float(self.members[agent].card.flops(self.length))

    def tokens(self, agent: int, ids: Labels) -> Labels:
        """Return the tokens `[Q]` that queries would put through an agent's encoder."""
        return self.embed(agent, ids).tokens if self.count is None else self.count(agent, ids)

    def answer(
        self, agent: int, queries: Queries, embedded: Embedded | None = None
    ) -> tuple[Answers, NDArray[np.float64]]:
        """Return an agent's answers, and their floating-point operations `[Q]`.

        Args:
            agent: the agent.
            queries: what it is asked.
            embedded: the queries as it reads them; embedded here if None.

        Raises:
            HostLost: the agent's host has died.
        """
        if embedded is None:
            embedded = self.embed(agent, queries.ids)
        member = self.members[agent]
        examples = Examples(queries.split, queries.ids, embedded.features)
        answers = member.head.answer(examples, member.card.origin)
        return answers, self.flops(agent, embedded.tokens)
