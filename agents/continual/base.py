"""Base of retentions: objectives that keep what was learnt in earlier episodes.

A retention is one more objective. Its loss draws on what it stored; at the end of an episode
`consolidate` stores what the episode taught. All of that is its state of the agent, which is checkpointed
with the agent: an episode that is taken back takes the memory back too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agents.lazy_torch import Tensor, torch
from agents.objectives.base import (
    LabelledTexts,
    LossOutput,
    Objective,
    ObjectiveState,
    Prepared,
    RawBatch,
    Step,
)
from agents.text.batch import Batch
from agents.text.tokens import Text

if TYPE_CHECKING:
    from agents.models.encoder import Encoder


@dataclass(frozen=True)
class Consolidation:
    """An agent at the end of an episode.

    Attributes:
        encoder: the shared encoder, pointed at the agent, not in training.
        parameters: `[P]`, the agent's own; writing to them changes the agent.
        state: the state that the retention keeps for the agent; read it with `ObjectiveState.narrow`.
        learnt: the labelled texts of the episode.
        batch: pads texts, and moves them to the encoder's device.
        budget: tokens of a text that training reads, special tokens aside.
        embed: embeds texts as evaluation does, `[n, W]` float32.
        public: returns embeddings `[N, W]` of public texts, the same in every episode.
        rng: generator of the agent and the episode.
    """

    encoder: Encoder
    parameters: Tensor
    state: ObjectiveState
    learnt: LabelledTexts
    batch: Callable[[Sequence[Text | np.ndarray]], Batch]
    budget: int
    embed: Callable[[Sequence[Text]], np.ndarray]
    public: Callable[[], np.ndarray]
    rng: np.random.Generator


class Retention(Objective):
    """A way not to forget: a loss on what was stored, and what to store at the end of an episode."""

    @abstractmethod
    def consolidate(self, end: Consolidation) -> None:
        """Take what an episode taught into the state, or change the parameters by it."""

    def prepare(self, raw: RawBatch) -> Prepared:
        """Prepare nothing: what is stored is drawn in `loss`."""
        return {}

    def nothing(self, step: Step) -> LossOutput:
        """Return the loss of an agent that has nothing stored."""
        device = next(step.encoder.parameters()).device
        return LossOutput(torch.zeros((), device=device), np.zeros_like(step.anchors))
