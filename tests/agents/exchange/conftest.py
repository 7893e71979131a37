"""An agent without an encoder: its embeddings of the anchors are given."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from agents.exchange.anchors.anchor_contrast import AnchorContrastState
from agents.exchange.anchors.anchor_similarity import SimilarityState
from agents.exchange.anchors.classes import ClassState
from agents.exchange.anchors.codistillation import CodistillationState
from agents.exchange.anchors.embedding_distillation import EmbeddingState
from agents.exchange.anchors.fedproto import FedProtoState
from agents.exchange.anchors.ranked_neighbours import RankingState
from agents.exchange.parameters.fedema import FedEMAState
from agents.exchange.private.cross_negatives import CrossNegativesState
from agents.exchange.private.dcco import DCCOState
from agents.objectives import LossOutput, Objective, Prepared, RawBatch, Step
from protocols.messages import Message, Payload


@dataclass
class AnyState(
    AnchorContrastState,
    SimilarityState,
    ClassState,
    CodistillationState,
    EmbeddingState,
    RankingState,
    FedProtoState,
    DCCOState,
    CrossNegativesState,
    FedEMAState,
):
    """State for any of these strategies, so that a learner can be made without one."""


class StubLearner:
    """An agent as a strategy sees it.

    Args:
        embeddings: `[C, N, D]` of the anchors.
        clusters: `[N]`.
        parameters: `[P]`.
        labelled: `[C, n, D]` of the documents whose class the agent knows, and the class `[n]` of each.
    """

    def __init__(
        self,
        embeddings: torch.Tensor,
        clusters: Any = (),
        parameters: torch.Tensor | None = None,
        id: int = 0,
        examples: int = 1,
        labelled: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        self.id, self.seed, self.examples, self.layout = id, 0, examples, "layout"
        self.exchange_state = AnyState()
        self.wants_reference = False
        self.anchor_clusters = np.asarray(clusters, dtype=np.int64)
        self.anchor_count = embeddings.shape[1]
        self.parameters = torch.zeros(4) if parameters is None else parameters
        self.encoder = SimpleNamespace(
            exchange_head=torch.nn.Identity(),
            classifier=torch.nn.Identity(),
            width=embeddings.shape[2],
            heads={},
        )
        self._embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
        self._labelled = labelled

    def embed_anchors(self, crops: int, round: int) -> torch.Tensor:
        assert crops == len(self._embeddings)
        return self._embeddings

    def embed_labelled(self, crops: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._labelled is not None
        values, classes = self._labelled
        assert crops == len(values)
        return torch.nn.functional.normalize(values, dim=-1), classes


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
        return Message.compose(payload, sender=sender, round=round, hop=hop)

    return make


class Quadratic(Objective):
    """``sum((w - 1)^2) / 2`` over every trained parameter: its gradient is ``w - 1``."""

    kind: Literal["quadratic"] = "quadratic"

    def prepare(self, raw: RawBatch) -> Prepared:
        return {}

    def loss(self, step: Step) -> LossOutput:
        trained = [each for each in step.encoder.parameters() if each.requires_grad]
        total = torch.stack([(each - 1).square().sum() / 2 for each in trained]).sum()
        return LossOutput(total, np.zeros(1, dtype=np.int64))


class Towards(Objective):
    """A mean over documents, each by itself: half the squared distance of its pooled state to ones."""

    kind: Literal["towards"] = "towards"

    def prepare(self, raw: RawBatch) -> Prepared:
        return {"texts": raw.views(())}

    def loss(self, step: Step) -> LossOutput:
        batch = step.inputs["texts"]
        pooled = step.encode(batch)
        return LossOutput((pooled - 1).square().sum(dim=1).mean() / 2, batch.lengths, (pooled,))


PLAIN_SGD = {
    "optimizer": {"sgd": {"momentum": 0.0}},
    "learning_rate": 0.1,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "clip_norm": None,
    "batch_size": 64,
    "max_length": 64,
    "local_steps": 1,
}


@pytest.fixture
def train_plainly(make_host):
    """Make a host whose agents take plain SGD steps, each on all its documents: no noise, no clipping."""

    def make(exchange, objective, agents=3, training=None, **fields):
        from agents.training.blueprint import Arm

        host = make_host(
            agents, objectives=(objective,), training={**PLAIN_SGD, **(training or {})}, **fields
        )
        host.begin(Arm(exchange, 0.0))
        return host

    return make


@pytest.fixture
def quadratic():
    return Quadratic()


@pytest.fixture
def towards():
    return Towards()


@pytest.fixture
def exchange_gradient():
    """Return the gradient `[P]` of what an agent's next step learns from the exchange alone."""
    from agents.training import trainer
    from agents.training.exchange_loss import exchange_loss
    from agents.training.local_loss import local_loss
    from agents.training.metrics import StepMetrics

    def gradient(agent: Any, arm: Any) -> torch.Tensor:
        batch, metrics = next(trainer.jobs(agent, arm))(), StepMetrics(agent.resident.device)
        agent.encoder.train()
        agent.resident.binding.gradient.zero_()
        _, pooled = local_loss(agent, arm, batch, metrics)
        exchange_loss(agent, arm, batch, pooled, metrics).backward()
        return agent.resident.binding.gradient.clone()

    return gradient


@pytest.fixture
def private_views():
    """Embed an agent's next private batch with an encoder of our own: two normalised views `[B, D]`."""
    from agents.training import trainer

    def views(agent: Any, arm: Any, encoder: Any) -> list[torch.Tensor]:
        ready = next(trainer.jobs(agent, arm))()
        batch = agent.resident.to_device(ready.inputs[0])["views"]
        private = len(ready.documents.rows) - len(ready.documents.anchors)
        halves = encoder.exchange_head(encoder.pool_batch(batch)).chunk(2)
        return [torch.nn.functional.normalize(half[:private], dim=-1) for half in halves]

    return views


@pytest.fixture
def flat_gradient():
    """Lay the gradients of a module of our own out as an agent's buffer has them."""

    def flatten(module: Any, layout: Any) -> torch.Tensor:
        flat, named = torch.zeros(layout.size), dict(module.named_parameters())
        for slot in layout.slots:
            if named[slot.name].grad is not None:
                slot.view(flat).copy_(named[slot.name].grad)
        return flat

    return flatten
