"""Distillation of what a society found about public anchors into an agent that joins it later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.anchor_similarity import divergence
from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    RoundState,
    Turn,
    to_tensor,
)
from agents.lazy_torch import Tensor
from protocols.errors import RecordError
from protocols.messages import Message, Payload, SimilarityTargets


@dataclass
class ElderState(RoundState):
    """Similarities of the anchors `[N, N]` as the elders find them; None before the first step."""

    taught: Tensor | None = None


class Elders(AnchorExchange):
    """Elders: learn the geometry of public anchors from a file that a society left.

    The loss is ``KL(elders || own)`` on the anchors of each batch, with similarities
    ``softmax(cos / temperature)``. It needs no common axes, so that an agent of any size learns from elders
    of any other. Nothing is sent.

    Source: Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021.
    """

    kind: Literal["elders"] = "elders"
    state_type: ClassVar[type[ExchangeState]] = ElderState
    file: str = Field(
        min_length=1, description="File of the similarities, `[N, N]` float32 (.npy)."
    )
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return no heads: similarities have no axes."""
        return Heads()

    def before_step(self, learner: Learner) -> None:
        """Read the file before the first step.

        Raises:
            RecordError: it does not hold the similarities of these anchors.
        """
        state = ElderState.of(learner)
        if state.taught is None:
            state.taught = to_tensor(read_similarities(self.file, learner.anchor_count), learner)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Return None: elders teach by what they left."""
        return None

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Expect what elders would send, which no agent does."""
        return Expected(SimilarityTargets, {"values": (learner.anchor_count, learner.anchor_count)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Do nothing: there are no messages."""

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the elders on the batch's anchors, a mean over the views."""
        taught_NN = ElderState.of(learner).taught
        if taught_NN is None or len(anchors.ids) < 3:
            return None
        return self.weight * divergence(taught_NN, anchors, self.temperature)


def read_similarities(file: str, anchors: int) -> np.ndarray:
    """Return the similarities of a file, `[N, N]` float32; reading runs no code.

    Raises:
        RecordError: it does not hold the similarities of so many anchors.
    """
    try:
        found = np.load(Path(file), allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        found, problem = None, str(error)[:200]
    else:
        problem = f"{found.dtype} {found.shape}"
    if found is None or found.dtype != np.float32 or found.shape != (anchors, anchors):
        raise RecordError(
            f"{file} does not hold what elders found about these anchors",
            expected=f"float32 ({anchors}, {anchors})",
            actual=problem,
            hint="let agentos transfer write it anew, with the same data and data.anchors",
        )
    return np.array(found)
