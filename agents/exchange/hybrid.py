"""Several strategies at once, each at its own period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.base import Exchange, Expected, Heads, Learner, Shown, Society, Turn
from agents.exchange.registry import STRATEGIES
from protocols.messages import Message, Payload
from protocols.spec import Kinds


class Hybrid(Exchange):
    """Several strategies at once, each with its own period and its own state.

    A part's `every` counts rounds, so with 50 local steps a round, ``fedavg`` with ``every: 40`` and
    ``anchor_similarity`` average parameters every 2,000 steps and share similarities every 50. The losses of
    the parts are added. Within a round, parts exchange in the order given.

    Example:
        >>> hybrid = Hybrid(strategies=[{"fedavg": {"every": 40}}, "anchor_similarity"])
        >>> [part.kind for part in hybrid.parts], hybrid.is_due(1, 80)
        (['fedavg', 'anchor_similarity'], True)
    """

    kind: Literal["hybrid"] = "hybrid"
    every: Literal[1] = Field(1, description="Always 1: every part has its own period.")
    strategies: tuple[Annotated[Exchange, Kinds(STRATEGIES)], ...] = Field(
        ..., min_length=2, description="The strategies, in the order in which they exchange."
    )

    @model_validator(mode="after")
    def _messages_are_theirs(self) -> Self:
        if self.codec.kind != "fp32":
            raise ValueError("a hybrid sends nothing itself; set the codec of each strategy")
        if self.privacy is not None:
            raise ValueError("a hybrid sends nothing itself; set the privacy of each strategy")
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
    def shows(self) -> frozenset[Shown] | None:
        """The union over the strategies; None if one does not declare it."""
        shown = [part.shows for part in self.parts]
        if None in shown:
            return None
        return frozenset().union(*(each for each in shown if each is not None))

    @property
    def asynchronous(self) -> bool:
        """Return whether all of the strategies are asynchronous."""
        return all(part.asynchronous for part in self.parts)

    @property
    def anchor_fraction(self) -> float:
        """Share of public anchors in each batch."""
        return max(part.anchor_fraction for part in self.parts)

    @property
    def wants_labels(self) -> bool:
        """Return whether the anchors' classes are their true labels."""
        return any(part.wants_labels for part in self.parts)

    def check(self, society: Society) -> None:
        """Refuse a society in which any of the strategies cannot work."""
        for part in self.parts:
            part.check(society)

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return heads for all strategies; those that ask for the same head share it.

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
        """Return whether any of the strategies exchanges at the end of this round."""
        return any(part.is_due(round, rounds) for part in self.parts)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Never called: hosts call the parts."""
        raise NotImplementedError("call the parts of a hybrid")

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Never called: hosts call the parts."""
        raise NotImplementedError("call the parts of a hybrid")

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Never called: hosts call the parts."""
        raise NotImplementedError("call the parts of a hybrid")
