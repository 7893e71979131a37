"""An agent without an encoder: its embeddings of the anchors are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from protocols.messages import Message, Payload


class StubLearner:
    """What a strategy sees of an agent.

    Args:
        embeddings: `[C, N, D]` of the anchors.
        clusters: `[N]`.
        parameters: `[P]`.
    """

    def __init__(
        self,
        embeddings: torch.Tensor,
        clusters: Any = (),
        parameters: torch.Tensor | None = None,
        id: int = 0,
        examples: int = 1,
    ) -> None:
        self.id, self.seed, self.examples, self.layout = id, 0, examples, "layout"
        self.memory: dict[str, Any] = {}
        self.anchor_clusters = np.asarray(clusters, dtype=np.int64)
        self.anchor_count = embeddings.shape[1]
        self.parameters = torch.zeros(4) if parameters is None else parameters
        self.encoder = SimpleNamespace(
            exchange_head=torch.nn.Identity(),
            classifier=torch.nn.Identity(),
            width=embeddings.shape[2],
        )
        self._embeddings = torch.nn.functional.normalize(embeddings, dim=-1)

    def embed_anchors(self, crops: int, round: int) -> torch.Tensor:
        assert crops == len(self._embeddings)
        return self._embeddings


@pytest.fixture
def draw():
    """Draw numbers; calling again draws others."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.fixture
def make_learner(draw):
    def make(crops: int = 2, anchors: int = 6, width: int = 5, **fields: Any) -> StubLearner:
        return StubLearner(draw(crops, anchors, width), **fields)

    return make


@pytest.fixture
def message():
    """Put a payload of one agent into a message to agent 0."""

    def make(payload: Payload, sender: int, round: int = 1, hop: int = 0) -> Message:
        return Message.compose(payload, sender=sender, recipients=[0], round=round, hop=hop)

    return make
