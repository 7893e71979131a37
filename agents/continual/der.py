"""Dark experience replay: stored texts, their labels, and the scores that they had.

Legend: R replayed texts, m stored texts, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.continual.base import Consolidation, Retention
from agents.continual.er import ER, classes_of, replayed
from agents.continual.text_memory import MemoryConfig, MemoryState
from agents.lazy_torch import F, Tensor, torch
from agents.objectives.base import LossOutput, ObjectiveState, Step
from agents.objectives.labelled import LABEL_HEAD

_BATCH = 64


class DER(Retention):
    """DER++: ``alpha MSE(scores, stored scores)`` on some stored texts, ``beta CE`` on others.

    Scores are stored with a text at the end of its episode, and stay as they are. The mean squared error is a
    mean over texts and classes.

    Source: Buzzega et al., Dark Experience for General Continual Learning, 2020.
    """

    kind: Literal["der"] = "der"
    state_type: ClassVar[type[ObjectiveState]] = MemoryState
    replay: MemoryConfig = Field(MemoryConfig(), description="The memory.")
    drawn: int = Field(16, ge=1, description="Stored texts in a step for each of the two losses.")
    alpha: float = Field(0.5, ge=0.0, description="Factor of the error of scores.")
    beta: float = Field(0.5, ge=0.0, description="Factor of the classification.")

    def loss(self, step: Step) -> LossOutput:
        """Return both losses, on two draws of their own; 0 while nothing is stored."""
        memory = MemoryState.of(step)
        if memory.scores is None:
            return self.nothing(step)
        first, scores_RK, lengths = replayed(step, memory, self.drawn)
        stored_RK = memory.scores.to(scores_RK.device)[torch.from_numpy(first)]
        second, others_RK, more = replayed(step, memory, self.drawn)
        loss = self.alpha * F.mse_loss(scores_RK, stored_RK) + self.beta * F.cross_entropy(
            others_RK, classes_of(memory, second, others_RK.device)
        )
        anchors = len(step.anchors)
        return LossOutput(loss, np.append(lengths[: len(lengths) - anchors], more))

    def consolidate(self, end: Consolidation) -> None:
        """Take in the episode's texts as `ER` does, and the scores of those that are new."""
        memory = MemoryState.narrow(end.state)
        before = list(memory.tokens)
        ER(replay=self.replay).consolidate(end)
        new = [
            place
            for place, tokens in enumerate(memory.tokens)
            if place >= len(before) or tokens is not before[place]
        ]
        if not memory.tokens:
            return
        found_nK = _scores(end, [memory.tokens[place] for place in new])
        kept = memory.scores
        scores_mK = torch.zeros(len(memory.tokens), found_nK.shape[1], device=found_nK.device)
        if kept is not None:
            scores_mK[: len(kept)] = kept.to(found_nK.device)
        scores_mK[torch.tensor(new, dtype=torch.int64)] = found_nK
        memory.scores = scores_mK


def _scores(end: Consolidation, tokens: list[np.ndarray]) -> Tensor:
    """Return the class scores of texts `[n, K]` under the agent as it is."""
    head = end.encoder.heads[LABEL_HEAD]
    assert isinstance(head, lazy_models.LabelHead)
    parts = [torch.zeros(0, head.linear.out_features, device=head.linear.weight.device)]
    with torch.no_grad():
        for start in range(0, len(tokens), _BATCH):
            batch = end.batch([each.astype(np.int64) for each in tokens[start : start + _BATCH]])
            parts.append(head(end.encoder.pool_batch(batch)))
    return torch.cat(parts)
