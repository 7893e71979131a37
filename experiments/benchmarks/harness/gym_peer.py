"""Nodes of EXO Gym that train on given batches, in turns in one process.

EXO Gym's strategies are used as they are, on collectives that are computed here once all nodes have called
them. Its `Trainer` is not used: it names the network interface of a Mac, and draws batches in an order of its
own. The loop is that of its `TrainNode`.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed
from torch import Tensor, nn

from agents.models.encoder import Encoder
from agents.models.flat_parameters import flatten, layout_of
from agents.text.batch import Batch
from agents.text.masking import IGNORED

Step = tuple[Batch, Tensor]
"""Texts, and the next tokens `[B, T]`."""


@dataclass(frozen=True)
class GymRun:
    """A run of EXO Gym's nodes.

    Attributes:
        gym: folder that holds the package ``exogym``.
        strategy: ``diloco``, ``sparta`` or ``demo``.
        settings: its parameters: ``every``, ``share``, ``learning_rate``.
        encoder: the model that all nodes begin with.
        batches: of each node, one for each step.
    """

    gym: Path
    strategy: str
    settings: dict[str, float]
    encoder: Encoder
    batches: list[list[Step]] = field(repr=False)


def train(run: GymRun) -> tuple[Tensor, Tensor]:
    """Train; return losses `[N, steps]` and the nodes' parameters `[N, P]` in the layout of AgentOS."""
    sys.path.insert(0, str(run.gym))
    greenlet = importlib.import_module("greenlet").greenlet
    nodes = [greenlet(_node) for _ in run.batches]
    collectives: dict[str, Any] = {
        name: _Collective(name, greenlet.getcurrent())
        for name in ("all_reduce", "broadcast", "all_gather")
    }
    collectives["get_world_size"] = lambda *_: len(nodes)
    with patch.multiple(torch.distributed, **collectives):
        results = [node.switch(rank, run) for rank, node in enumerate(nodes)]
        while not nodes[0].dead:
            _resolve(results)
            results = [node.switch() for node in nodes]
    losses, parameters = zip(*results, strict=True)
    return torch.stack(losses), torch.stack(parameters)


class _Collective:
    """A collective of `torch.distributed` that waits, in the hub, until all nodes have called it."""

    def __init__(self, name: str, hub: Any) -> None:
        self.__name__ = name  # by which EXO Gym chooses a wrapper
        self._hub = hub

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # The nodes share a thread, and with it whether gradients are recorded.
        recording = torch.is_grad_enabled()
        self._hub.switch((self.__name__, *arguments))
        torch.set_grad_enabled(recording)
        return SimpleNamespace(wait=lambda: None)


@torch.no_grad()
def _resolve(calls: Sequence[tuple[Any, ...]]) -> None:
    """Do what the nodes have called, in place."""
    name, *_ = calls[0]
    tensors = [call[-1] for call in calls]
    kept = [tensor.clone() for tensor in tensors]
    for _, *arguments in calls:
        if name == "all_gather":
            for out, value in zip(arguments[0], kept, strict=True):
                out.copy_(value)
        else:
            arguments[0].copy_(torch.stack(kept).sum(dim=0) if name == "all_reduce" else kept[0])


class _NextToken(nn.Module):
    """The loss of `causal_lm`: nats, a mean over the predicted tokens of a batch."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Batch, labels_BT: Tensor) -> Tensor:
        rows = self.encoder.predict_tokens(batch, labels_BT)
        loss: Tensor = rows[:, 0].sum() / (labels_BT != IGNORED).sum()
        return loss


def _node(rank: int, run: GymRun) -> tuple[Tensor, Tensor]:
    torch.set_grad_enabled(True)
    model = _NextToken(copy.deepcopy(run.encoder)).train()
    strategy = _strategy(run)
    strategy._init_node(model, rank, len(run.batches))
    if run.strategy == "diloco":
        # It exchanges after steps H + 1, 2 H + 1, ...; counted from 1, after H, 2 H, ... as in AgentOS.
        strategy.local_step = 1
    losses = []
    for batch, labels in run.batches[rank]:
        strategy.zero_grad()
        loss = model(batch, labels)
        loss.backward()
        strategy.step()
        if run.strategy == "diloco":
            _part_from_master(model)
        losses.append(loss.detach())
    return torch.stack(losses), flatten(model.encoder, layout_of(model.encoder))


def _part_from_master(model: nn.Module) -> None:
    """Give a model memory of its own.

    On a CPU, the first node's parameters become the tensors of EXO Gym's master copy after an exchange
    (``.to`` copies on a GPU alone), so that local steps would move the master too.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


def _strategy(run: GymRun) -> Any:
    strategies, settings = importlib.import_module("exogym.strategy"), run.settings
    rate = settings["learning_rate"]
    adamw = strategies.OptimSpec(torch.optim.AdamW, lr=rate, weight_decay=0.0)
    if run.strategy == "diloco":
        return strategies.DiLoCoStrategy(optim_spec=adamw, H=int(settings["every"]))
    if run.strategy == "sparta":
        return strategies.SPARTAStrategy(optim_spec=adamw, p_sparta=settings["share"])
    plain = SimpleNamespace(optimizer_kwargs={"lr": rate})
    return strategies.DeMoStrategy(strategy_config=plain)
