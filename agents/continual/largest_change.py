"""Merging of what episodes changed in the parameters, by the largest magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from agents.continual.base import Consolidation, Retention
from agents.lazy_torch import Tensor, torch
from agents.objectives.base import LossOutput, ObjectiveState, Step


@dataclass
class MergeState(ObjectiveState):
    """Parameters of the beginning, and what has been merged since.

    Attributes:
        start: `[P]`, at the end of the first episode; None before.
        change: `[P]`, merged changes since; None before.
    """

    start: Tensor | None = None
    change: Tensor | None = None


class Merge(Retention):
    """MagMax: of the changes that each parameter underwent since the first episode, keep the largest.

    At the end of an episode, each parameter is set to its value after the first one, plus the change of
    largest magnitude: that of the episode, measured from there, or the one merged so far. The next episode
    begins from the result. It adds no loss, and stores two copies of the parameters.

    Source: Marczak et al., MagMax: Leveraging Model Merging for Seamless Continual Learning, 2024.
    """

    kind: Literal["merge"] = "merge"
    state_type: ClassVar[type[ObjectiveState]] = MergeState

    def loss(self, step: Step) -> LossOutput:
        """Return 0."""
        return self.nothing(step)

    def consolidate(self, end: Consolidation) -> None:
        """Merge the episode's change, and set the parameters to the result."""
        state = MergeState.narrow(end.state)
        if state.start is None or state.change is None:
            state.start = end.parameters.clone()
            state.change = torch.zeros_like(end.parameters)
            return
        change = end.parameters - state.start
        state.change = torch.where(change.abs() >= state.change.abs(), change, state.change)
        end.parameters.copy_(state.start + state.change)
