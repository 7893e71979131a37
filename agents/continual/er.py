"""Experience replay: classification of stored texts along with the new ones.

Legend: R replayed texts, K classes, W width of the backbone.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.continual.base import Consolidation, Retention
from agents.continual.text_memory import MemoryConfig, MemoryState
from agents.lazy_torch import F, Tensor, torch
from agents.objectives.base import LossOutput, ObjectiveState, Step
from agents.objectives.labelled import LABEL_HEAD


class ER(Retention):
    """Experience replay: ``CE(head(pooled), label)`` on texts of earlier episodes, drawn from a memory.

    It goes with the objective labelled, whose classifier it trains. The memory takes in the labelled texts of
    an episode at its end.

    Source: Chaudhry et al., On Tiny Episodic Memories in Continual Learning, 2019.
    """

    kind: Literal["er"] = "er"
    state_type: ClassVar[type[ObjectiveState]] = MemoryState
    replay: MemoryConfig = Field(MemoryConfig(), description="The memory.")
    drawn: int = Field(16, ge=1, description="Stored texts in a step, at most.")

    def loss(self, step: Step) -> LossOutput:
        """Classify stored texts; 0 while there are none."""
        memory = MemoryState.of(step)
        if not memory.tokens:
            return self.nothing(step)
        chosen, scores_RK, lengths = replayed(step, memory, self.drawn)
        loss = F.cross_entropy(scores_RK, classes_of(memory, chosen, scores_RK.device))
        return LossOutput(loss, lengths)

    def consolidate(self, end: Consolidation) -> None:
        """Offer every labelled text of the episode to the memory, in a random order."""
        memory = MemoryState.narrow(end.state)
        for index in end.rng.permutation(len(end.learnt.texts)):
            label = int(end.learnt.classes[index])
            place = memory.place(self.replay, end.rng)
            if place is not None:
                memory.store(place, end.learnt.texts[index].tokens[: end.budget], label)


def replayed(step: Step, memory: MemoryState, count: int) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Draw stored texts, and return their places, their class scores `[R, K]` and their tokens `[R]`."""
    assert step.batch is not None
    chosen = step.rng.permutation(len(memory.tokens))[:count]
    batch = step.batch([memory.tokens[place].astype(np.int64) for place in chosen])
    head = step.encoder.heads[LABEL_HEAD]
    assert isinstance(head, lazy_models.LabelHead)
    scores_RK: Tensor = head(step.encode(batch))
    # The last of these are taken to be of the batch's anchors, which are not read here.
    return chosen, scores_RK, np.append(batch.lengths, np.zeros_like(step.anchors))


def classes_of(memory: MemoryState, chosen: np.ndarray, device: torch.device) -> Tensor:
    """Return the classes of stored texts `[R]`."""
    return torch.tensor([memory.classes[place] for place in chosen], device=device)
