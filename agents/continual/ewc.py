"""Elastic weight consolidation: parameters that mattered stay near where they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.continual.base import Consolidation, Retention
from agents.lazy_torch import F, Tensor, torch
from agents.objectives.base import LossOutput, ObjectiveState, Step
from agents.objectives.labelled import LABEL_HEAD


@dataclass
class FisherState(ObjectiveState):
    """Importance and place of the parameters after the last episode.

    Attributes:
        fisher: diagonal of the Fisher information of each parameter by name, summed over episodes.
        centre: each parameter at the end of the last episode.
    """

    fisher: dict[str, Tensor] = field(default_factory=dict)
    centre: dict[str, Tensor] = field(default_factory=dict)


class EWC(Retention):
    """Online EWC: ``strength / 2 * sum of fisher * (parameter - centre)^2``.

    The diagonal of the Fisher information is the mean of the squared gradients of ``log p(label | text)``,
    one text at a time, over labelled texts of the episode (the empirical Fisher information). With `decay` 1
    it is summed over episodes. It stores two copies of the parameters.

    Sources: Kirkpatrick et al., Overcoming Catastrophic Forgetting, 2017; Schwarz et al., Progress and
    Compress, 2018, for one penalty around the last parameters in place of one for each episode.
    """

    kind: Literal["ewc"] = "ewc"
    state_type: ClassVar[type[ObjectiveState]] = FisherState
    strength: float = Field(1000.0, gt=0.0, description="Factor of the penalty.")
    decay: float = Field(
        1.0, ge=0.0, le=1.0, description="Factor of the importance of earlier episodes."
    )
    texts: int = Field(128, ge=1, description="Texts that the importance is measured on, at most.")

    def loss(self, step: Step) -> LossOutput:
        """Return the penalty; 0 before the end of the first episode."""
        state = FisherState.of(step)
        if not state.fisher:
            return self.nothing(step)
        penalties = [
            (state.fisher[name] * (parameter.float() - state.centre[name]).square()).sum()
            for name, parameter in step.encoder.named_parameters()
            if parameter.requires_grad
        ]
        loss = self.strength / 2 * torch.stack(penalties).sum()
        return LossOutput(loss, np.zeros_like(step.anchors))

    def consolidate(self, end: Consolidation) -> None:
        """Measure the importance on the episode's labelled texts, and note the parameters."""
        state = FisherState.narrow(end.state)
        trained = {n: p for n, p in end.encoder.named_parameters() if p.requires_grad}
        head = end.encoder.heads[LABEL_HEAD]
        assert isinstance(head, lazy_models.LabelHead)
        sums = {name: torch.zeros_like(parameter) for name, parameter in trained.items()}
        chosen = end.rng.permutation(len(end.learnt.texts))[: self.texts]
        for index in chosen:
            batch = end.batch([end.learnt.texts[index]])
            label = torch.tensor([int(end.learnt.classes[index])], device=batch.input_ids.device)
            loss = F.cross_entropy(head(end.encoder.pool_batch(batch)), label)
            found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
            for name, gradient in zip(trained, found, strict=True):
                if gradient is not None:  # heads of other objectives play no part
                    sums[name] += gradient.detach().square()
        for name, parameter in trained.items():
            new = sums[name] / max(1, len(chosen))
            old = state.fisher.get(name)
            state.fisher[name] = new if old is None else self.decay * old + new
            state.centre[name] = parameter.detach().clone()
