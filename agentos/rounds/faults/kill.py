"""Hosts that die."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.rounds.faults.base import Agents, Fault

Phase = Literal["train", "compose", "merge", "evaluate"]


class Kill(Fault):
    """The host of an agent dies at a phase of a round; `policy.restarts` decides if the run continues."""

    kind: Literal["kill"] = "kill"
    agent: int = Field(0, ge=0, description="An agent of the host that dies.")
    phase: Phase = Field("train", description="The phase at whose beginning the host dies.")

    @model_validator(mode="after")
    def _at_some_time(self) -> Self:
        if self.rounds is None:
            raise ValueError("name the round in rounds: each death takes the run back")
        return self

    def named(self) -> Agents:
        """Return the agent."""
        return (self.agent,)

    def victim(self, phase: str) -> int | None:
        """Return the agent in its phase."""
        return self.agent if phase == self.phase else None
