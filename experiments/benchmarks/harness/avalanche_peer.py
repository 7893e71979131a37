"""Avalanche's learners on a stream of tokenised texts: a society of agents that each learn their own part.

This module imports nothing of AgentOS, so that it runs in an environment of its own, which has avalanche-lib,
torch and transformers:

    PYTHON avalanche_peer.py task.json

A task is written by experiments.studies.learning.peer_streams. It prints the accuracy on the test of each
episode after each episode as JSON. Strategies are used as they are; a plugin crops texts at random, warms the
learning rate up, and ends an episode after so many steps, as AgentOS does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.plugins import SupervisedPlugin
from avalanche.training.supervised import EWC, Naive, Replay
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import BertConfig, BertModel

SHORTEST, LONGEST = 0.15, 0.6
"""Share of a text in a random crop."""
MOMENTUM, EPOCHS = 0.1, 10_000


class Texts(Dataset[tuple[Tensor, int]]):
    """Texts of token ids, cropped at random where there is a generator, else the beginning of each."""

    def __init__(
        self, part: dict[str, Any], task: dict[str, Any], rng: np.random.Generator | None = None
    ) -> None:
        self.tokens, self.targets = part["tokens"], part["classes"]
        self.task, self.rng = task, rng

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Return a text with special tokens, padded to the length `[T]`, and its class."""
        ids, budget, (first, last) = self.tokens[row], self.task["length"] - 2, self.task["special"]
        start, length = 0, min(budget, len(ids))
        if self.rng is not None:
            share = SHORTEST + (LONGEST - SHORTEST) * self.rng.random()
            length = max(1, min(budget, round(share * len(ids))))
            start = int(self.rng.integers(0, len(ids) - length + 1))
        whole = torch.full((self.task["length"],), self.task["padding"])
        whole[: length + 2] = torch.tensor([first, *ids[start : start + length], last])
        return whole, self.targets[row]


class Classifier(nn.Module):
    """A BERT with mean pooling, and the classifier of AgentOS: linear in the direction from the mean text."""

    mean: Tensor

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__()
        self.padding = task["padding"]
        self.bert = BertModel(BertConfig(**task["encoder"]), add_pooling_layer=False)
        width = self.bert.config.hidden_size
        self.linear = nn.Linear(width, task["classes"])
        self.register_buffer("mean", torch.zeros(width))
        self.seen = 0

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return class scores `[B, K]`."""
        mask_BT = (ids_BT != self.padding).long()
        states_BTW = self.bert(ids_BT, attention_mask=mask_BT).last_hidden_state
        weights_BT1 = mask_BT[:, :, None].float()
        pooled_BW = (states_BTW * weights_BT1).sum(1) / weights_BT1.sum(1)
        if self.training:
            self.seen += 1
            moved = pooled_BW.detach().mean(0) - self.mean
            self.mean += max(MOMENTUM, 1 / self.seen) * moved
        centred_BW = nn.functional.normalize(pooled_BW - self.mean, dim=-1)
        scores: Tensor = self.linear(centred_BW * self.mean.numel() ** 0.5)
        return scores


class Pace(SupervisedPlugin):  # type: ignore[misc]
    """Warms the learning rate up, clips gradients, and ends each episode after its steps."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__()
        self.task, self.left = task, list(task["steps"])

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Begin an episode."""
        self.step, self.last = 0, self.left.pop(0)

    def before_update(self, strategy: Any, **_: Any) -> None:
        """Set the learning rate of a step."""
        self.step += 1
        for group in strategy.optimizer.param_groups:
            group["lr"] = self.task["learning_rate"] * min(1.0, self.step / self.task["warmup"])
        nn.utils.clip_grad_norm_(strategy.model.parameters(), 1.0)

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """End the episode if this was its last step."""
        if self.step == self.last:
            strategy.stop_training()


def strategy_of(task: dict[str, Any], model: nn.Module) -> Any:
    """Return the learner of a task."""
    own: dict[str, Any] = {
        "model": model,
        "optimizer": torch.optim.AdamW(model.parameters(), task["learning_rate"]),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": task["batch"],
        "train_epochs": EPOCHS,
        "plugins": [Pace(task)],
        "evaluator": None,
    }
    if task["strategy"] == "replay":
        return Replay(mem_size=task["memory"], **own)
    if task["strategy"] == "ewc":
        return EWC(ewc_lambda=task["strength"], mode="online", decay_factor=1.0, **own)
    return Naive(**own)


@torch.no_grad()
def probabilities(model: nn.Module, tests: Sequence[Texts]) -> list[np.ndarray]:
    """Return the class probabilities of each test `[N, K]`."""
    model.eval()
    batches = [torch.stack([test[row][0] for row in range(len(test))]) for test in tests]
    found = [torch.softmax(model(ids), dim=-1).numpy() for ids in batches]
    model.train()
    return found


def learn(task: dict[str, Any]) -> list[list[float]]:
    """Let each agent learn its stream; return the accuracies `[E, E]` of their mean probability."""
    tests = [Texts(part, task) for part in task["tests"]]
    votes: list[list[list[np.ndarray]]] = []
    for agent, parts in enumerate(task["agents"]):
        torch.manual_seed(task["seed"] * 1000 + agent)
        rng = np.random.default_rng((task["seed"], agent))
        model = Classifier(task)
        learner = strategy_of(task, model)
        episodes = [as_classification_dataset(Texts(part, task, rng)) for part in parts]
        votes.append([])
        for episode in benchmark_from_datasets(train=episodes).train_stream:
            learner.train(episode)
            votes[-1].append(probabilities(model, tests))
    return [
        [
            float((np.mean(each, axis=0).argmax(axis=1) == np.array(test.targets)).mean())
            for test, each in zip(tests, zip(*after, strict=True), strict=True)
        ]
        for after in zip(*votes, strict=True)
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(learn(json.loads(Path(sys.argv[1]).read_text("utf-8")))) + "\n")
