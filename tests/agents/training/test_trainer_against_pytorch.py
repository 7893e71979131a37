"""Two agents that take turns in one module, against two plain PyTorch modules on the same batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.encoder import pool
from agents.objectives import functional
from agents.text.tokens import Text
from agents.training.blueprint import Arm
from agents.views import Crop, Setting
from protocols.seeding import generator

ALONE = Arm(Isolated(), anchor_fraction=0.25)
STILL = EncoderConfig(preset="nano", dropout=0.0)


class PlainLearner:
    """One agent as anybody would write it: its own module, its own AdamW, nothing shared."""

    def __init__(self, blueprint, agent, tokenizer, documents) -> None:
        self.training, self.seed, self.id = blueprint.training, blueprint.seed, agent.id
        self.tokenizer, self.documents = tokenizer, documents
        self.rows = blueprint.members[agent.id].rows
        self.anchors = blueprint.anchors.rows
        self.objective = blueprint.objectives[0]
        self.model = BertModel(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=256,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        self.model.load_state_dict(
            {name: value.clone() for name, value in agent.encoder.backbone.state_dict().items()}
        )
        trained = [(n, p) for n, p in self.model.named_parameters() if "pooler" not in n]
        self.parameters = [p for _, p in trained]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for _, p in trained if p.dim() > 1], "weight_decay": 0.01},
                {"params": [p for _, p in trained if p.dim() == 1], "weight_decay": 0.0},
            ],
            lr=self.training.learning_rate,
            betas=self.training.optimizer.betas,
            fused=True,
        )
        self.queues: dict[str, list[int]] = {"private": [], "anchors": []}
        self.epochs = {"private": 0, "anchors": 0}
        self.steps = 0

    def read(self, name: str, rows: np.ndarray, count: int) -> list[int]:
        """Take rows from a shuffled epoch, and shuffle again where too few are left."""
        if len(self.queues[name]) < count:
            rng = generator(self.seed, name, self.id, self.epochs[name])
            self.queues[name] = rows[rng.permutation(len(rows))].tolist()
            self.epochs[name] += 1
        taken, self.queues[name] = self.queues[name][:count], self.queues[name][count:]
        return taken

    def encode(self, texts) -> torch.Tensor:
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        framed = [[cls, *text.tolist(), sep] for text in texts]
        batch = self.tokenizer.pad({"input_ids": framed}, return_tensors="pt")
        states = self.model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        return pool(states, batch["attention_mask"], "mean")

    def step(self) -> float:
        rows = self.read("private", self.rows, min(9, len(self.rows)))
        rows = [*rows, *self.anchors[self.read("anchors", np.arange(len(self.anchors)), 3)]]
        rng = generator(self.seed, "views", self.id, self.steps, 0)
        crop, budget = Crop(), self.training.max_length - 2
        setting = Setting(budget, None)
        texts = [
            crop.apply(Text.of(self.documents[r]), setting, rng).tokens
            for _ in range(2)
            for r in rows
        ]
        first, second = self.encode(texts).chunk(2)
        loss = functional.info_nce(first, second, self.objective.temperature)
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * min(1.0, self.steps / 3)
        self.optimizer.zero_grad()
        loss.backward()
        if self.training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.training.clip_norm)
        self.optimizer.step()
        return float(loss.detach())


def train_both(make_host, tokenizer, documents, clip_norm, rounds=3):
    host = make_host(2, encoders=(STILL,), training={"clip_norm": clip_norm, "local_steps": 3})
    host.begin(ALONE)
    plain = [PlainLearner(host.blueprint, host.agents[id], tokenizer, documents) for id in (0, 1)]
    losses = [host.train(round) for round in range(1, rounds + 1)]
    expected = [[learner.step() for _ in range(3 * rounds)] for learner in plain]
    for id in (0, 1):
        actual = [metrics[id]["loss"] for metrics in losses]
        means = np.reshape(expected[id], (rounds, 3)).mean(axis=1)
        np.testing.assert_allclose(actual, means, rtol=1e-5)
    pairs = []
    for id, learner in enumerate(plain):
        named = dict(host.agents[id].encoder.backbone.named_parameters())
        for name, parameter in learner.model.named_parameters():
            pairs.append((f"{id} {name}", named[name].detach().clone(), parameter.detach()))
    return pairs


@pytest.mark.parametrize("clip_norm", [None, 1e6], ids=["without clipping", "clipping never acts"])
def test_two_agents_in_one_module_train_bit_for_bit_as_two_plain_modules(
    make_host, tokenizer, documents, clip_norm
):
    pairs = train_both(make_host, tokenizer, documents, clip_norm)
    assert [name for name, actual, plain in pairs if not torch.equal(actual, plain)] == []
    half = len(pairs) // 2
    assert any(
        not torch.equal(a[1], b[1]) for a, b in zip(pairs[:half], pairs[half:], strict=True)
    ), "both agents learnt the same: the comparison would show nothing"


def test_clipping_equals_clip_grad_norm_of_the_whole_model(make_host, tokenizer, documents):
    # Only to rounding: PyTorch takes the norm of norms, and sums in another order.
    pairs = train_both(make_host, tokenizer, documents, 0.05)
    for name, actual, plain in pairs:
        torch.testing.assert_close(actual, plain, rtol=2e-5, atol=2e-6, msg=name)
