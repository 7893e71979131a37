"""Several strategies at once, each at its own period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.base import Exchange, Expected, Heads, Learner, Society, Turn
from agents.exchange.registry import STRATEGIES
from protocols.messages import Message, Payload
from protocols.spec import Kinds


class Hybrid(Exchange):
    """Several strategies at once: each speaks at its own period and remembers for itself.

    A part's `every` counts rounds, so with 50 local steps a round, ``weights`` with ``every: 40`` beside
    ``anchor_similarity`` averages weights every 2,000 steps and shares similarities every 50. The losses of
    the parts are added. Within a round, parts speak in the order given.

    Example:
        >>> hybrid = Hybrid(strategies=[{"fedavg": {"every": 40}}, "anchor_similarity"])
        >>> [part.kind for part in hybrid.parts], hybrid.is_due(1, 80)
        (['fedavg', 'anchor_similarity'], True)
    """

    kind: Literal["hybrid"] = "hybrid"
    every: Literal[1] = Field(1, description="Always 1: every part has a period of its own.")
    strategies: tuple[Annotated[Exchange, Kinds(STRATEGIES)], ...] = Field(
        ..., min_length=2, description="The strategies, in the order in which they speak."
    )

    @model_validator(mode="after")
    def _codecs_are_theirs(self) -> Self:
        if self.codec.kind != "fp32":
            raise ValueError("a hybrid sends nothing itself; set the codec of each strategy")
        return self

    @model_validator(mode="after")
    def _agree(self) -> Self:
        shares = sorted({part.anchor_fraction for part in self.parts if part.anchor_fraction})
        if len(shares) > 1:
            raise ValueError(f"all strategies must have one anchor_share, here they have {shares}")
        if len({part.wants_labels for part in self.parts if part.heads(frozenset()).classes}) > 1:
            raise ValueError("all strategies about classes must have one labels: clusters, or true")
        return self

    @property
    def parts(self) -> tuple[Exchange, ...]:
        """The strategies."""
        return self.strategies

    @property
    def asynchronous(self) -> bool:
        """Whether all of the strategies can."""
        return all(part.asynchronous for part in self.parts)

    @property
    def anchor_fraction(self) -> float:
        """Share of each batch that are public anchors."""
        return max(part.anchor_fraction for part in self.parts)

    @property
    def wants_labels(self) -> bool:
        """Whether the anchors' classes are to be their true labels."""
        return any(part.wants_labels for part in self.parts)

    def check(self, society: Society) -> None:
        """Refuse a society in which one of the strategies cannot work."""
        for part in self.parts:
            part.check(society)

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return heads for every strategy; those that ask for the same head share it.

        Raises:
            ValueError: two strategies want one head in different sizes.
        """
        wanted = [part.heads(widths) for part in self.parts]
        dimensions = {heads.exchange_dimension for heads in wanted} - {0}
        classes = {heads.classes for heads in wanted} - {0}
        for name, sizes in (("dimension", dimensions), ("classes", classes)):
            if len(sizes) > 1:
                raise ValueError(
                    f"exchange.strategies must agree on {name}, here they want {sorted(sizes)}"
                )
        return Heads(max(dimensions, default=0), max(classes, default=0))

    def is_due(self, round: int, rounds: int) -> bool:
        """Whether any of the strategies speaks at the end of this round."""
        return any(part.is_due(round, rounds) for part in self.parts)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Never called: the parts speak."""
        raise NotImplementedError("a hybrid's parts speak")

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Never called: the parts listen."""
        raise NotImplementedError("a hybrid's parts listen")

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Never called: the parts merge."""
        raise NotImplementedError("a hybrid's parts merge")
