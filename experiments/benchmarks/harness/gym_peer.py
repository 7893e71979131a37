"""Nodes of EXO Gym that train on given batches: one process each, joined by gloo.

EXO Gym's strategies are used as they are. Its `Trainer` is not: it names the network interface of a Mac, and
draws batches in an order of its own. The loop here is that of its `TrainNode`.
"""

from __future__ import annotations

import copy
import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

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
        folder: for results and the nodes' rendezvous.
        encoder: the model that all nodes begin with.
        batches: of each node, one for each step.
    """

    gym: Path
    strategy: str
    settings: dict[str, float]
    folder: Path
    encoder: Encoder
    batches: list[list[Step]] = field(repr=False)


def train(run: GymRun) -> tuple[Tensor, Tensor]:
    """Train; return losses `[N, steps]` and the nodes' parameters `[N, P]` in the layout of AgentOS."""
    nodes = len(run.batches)
    run.folder.mkdir(parents=True)
    # Forked, so that no node imports everything again.
    start_processes(_node, args=(run,), nprocs=nodes, start_method="fork")  # type: ignore[no-untyped-call]
    saved = [torch.load(run.folder / f"{rank}.pt") for rank in range(nodes)]
    return torch.stack([each["losses"] for each in saved]), torch.stack(
        [each["parameters"] for each in saved]
    )


class _NextToken(nn.Module):
    """The loss of `causal_lm`: nats, a mean over the predicted tokens of a batch."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Batch, labels_BT: Tensor) -> Tensor:
        rows = self.encoder.predict_tokens(batch, labels_BT)
        loss: Tensor = rows[:, 0].sum() / (labels_BT != IGNORED).sum()
        return loss


def _node(rank: int, run: GymRun) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{run.folder / 'rendezvous'}",
        rank=rank,
        world_size=len(run.batches),
    )
    # A copy: the processes share the memory of what they were given.
    model = _NextToken(copy.deepcopy(run.encoder)).train()
    sys.path.insert(0, str(run.gym))
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
    parameters = flatten(model.encoder, layout_of(model.encoder))
    torch.save({"losses": torch.stack(losses), "parameters": parameters}, run.folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


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
