"""The section ``agents`` of a run."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.config import EncoderConfig
from protocols.spec import Spec


class GroupConfig(Spec):
    """Agents that share an encoder."""

    count: int = Field(..., ge=1, description="Agents in the group.")
    encoder: EncoderConfig = Field(EncoderConfig(), description="Their encoder.")


class AgentsConfig(Spec):
    """The agents: one kind of encoder for all, or groups of unlike ones."""

    count: int | None = Field(None, ge=1, le=100_000, description="Agents in all; default 6.")
    encoder: EncoderConfig | None = Field(
        None, description="The encoder of every agent; default: the preset tiny."
    )
    groups: tuple[GroupConfig, ...] | None = Field(
        None, min_length=1, description="Groups of agents, instead of count and encoder."
    )
    individual_initialisation: bool = Field(
        False, description="Every agent draws its own initial weights; default: one draw for all."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("groups") is None:
            defaults = {"count": 6, "encoder": {}}
            return defaults | {key: value for key, value in values.items() if value is not None}
        return values

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.groups is None:
            return self
        if self.encoder is not None:
            raise ValueError("give either encoder or groups, not both: groups name their encoders")
        total = sum(group.count for group in self.groups)
        if self.count is not None and self.count != total:
            raise ValueError(
                f"count is {self.count}, but the groups hold {total} agents; drop count"
            )
        return self

    @property
    def resolved(self) -> tuple[GroupConfig, ...]:
        """The groups, whichever form was given."""
        if self.groups is not None:
            return self.groups
        return (GroupConfig(count=self.count or 6, encoder=self.encoder or EncoderConfig()),)

    @property
    def total(self) -> int:
        """Number of agents."""
        return sum(group.count for group in self.resolved)

    def spread(self, count: int | None) -> tuple[int, ...]:
        """Return so many agents, evenly spread over all, the first and the last among them; None for all.

        Example:
            >>> AgentsConfig(count=7).spread(3)
            (0, 3, 6)
        """
        if count is None or count >= self.total:
            return tuple(range(self.total))
        return tuple(i * (self.total - 1) // max(1, count - 1) for i in range(count))
