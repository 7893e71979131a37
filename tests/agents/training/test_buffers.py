"""Buffers of heads, such as running statistics, belong to the agent that trained them."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from agents.exchange.isolated import Isolated
from agents.objectives import LossOutput, Objective
from agents.training.blueprint import Arm
from agents.views import Crop
from protocols.errors import RecordError

ALONE = Arm(Isolated(), anchor_fraction=0.0)
STEPS = 3


class Queue(nn.Module):
    """A head that replaces a buffer in every step, and begins without one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", None, persistent=False)

    def forward(self, rows_BW: torch.Tensor) -> torch.Tensor:
        new = rows_BW.detach().mean(dim=0, keepdim=True)
        self.kept = new if self.kept is None else torch.cat([self.kept, new])
        return rows_BW


class Normed(Objective):
    kind: Literal["normed"] = "normed"

    def heads(self, encoder):
        return {"normed": nn.Sequential(nn.Linear(encoder.width, 8), nn.BatchNorm1d(8), Queue())}

    def prepare(self, batch):
        return {"views": batch.views([Crop()], count=2)}

    def loss(self, step):
        batch = step.inputs["views"]
        first, second = torch.chunk(step.encode(batch), 2)
        head = step.encoder.heads["normed"]
        loss = (head(first) - head(second)).pow(2).mean()
        return LossOutput(loss, batch.lengths.reshape(2, -1).sum(axis=0), (first, second))


@pytest.fixture
def host(make_host):
    def make(agents=2, **fields):
        training = {"local_steps": STEPS, "max_length": 16, "batch_size": 8}
        made = make_host(agents, objectives=(Normed(),), training=training, **fields)
        made.begin(ALONE)
        return made

    return make


def statistics(host, agent):
    return host.agents.unchanged(agent).state.buffers


def alike(a, b):
    return a.keys() == b.keys() and all(
        a[k] is b[k] if a[k] is None else torch.equal(a[k], b[k]) for k in a
    )


def test_statistics_of_agents_of_a_host_are_their_own(host):
    together = host(2)
    together.train(1)
    first, second = statistics(together, 0), statistics(together, 1)
    name = "heads.normed.1"
    assert first[f"{name}.num_batches_tracked"] == second[f"{name}.num_batches_tracked"] == 6
    assert not torch.equal(first[f"{name}.running_mean"], second[f"{name}.running_mean"])
    assert len(first["heads.normed.2.kept"]) == len(second["heads.normed.2.kept"]) == 2 * STEPS


def test_statistics_depend_neither_on_packing_nor_on_spilling(host):
    together, spilled = host(2), host(2, state_bytes=1)
    for each in (together, spilled):
        each.train(1)
        each.train(2)
    alone = host(2)
    alone.train(1, absent=[0])
    alone.train(2, absent=[0])
    for agent in (0, 1):
        assert alike(statistics(together, agent), statistics(spilled, agent))
    assert alike(statistics(together, 1), statistics(alone, 1))
    spilled.close()


def test_statistics_are_in_a_checkpoint_and_in_an_exported_encoder(host, tmp_path):
    made, other = host(2), host(2)
    made.train(1)
    digests = made.snapshot(tmp_path)
    other.train(1)
    other.train(2)
    other.restore(tmp_path, digests)
    for agent in (0, 1):
        assert alike(statistics(made, agent), statistics(other, agent))
    made.train(2)
    other.train(2)
    for agent in (0, 1):
        assert alike(statistics(made, agent), statistics(other, agent))
    folders = {agent: tmp_path / str(agent) for agent in (0, 1)}
    made.save(folders)
    for agent, folder in folders.items():
        saved = load_file(folder / "heads.safetensors")["heads.normed.1.running_mean"]
        assert torch.equal(saved, statistics(made, agent)["heads.normed.1.running_mean"])


def test_preview_leaves_the_statistics_as_they_were(host):
    made = host(1)
    made.train(1)
    before = {k: None if v is None else v.clone() for k, v in statistics(made, 0).items()}
    made.agents[0].preview()
    assert alike(statistics(made, 0), before)
    assert alike(made.residents[0].buffers.read(), before)


def test_checkpoint_without_the_buffers_of_the_heads_is_refused(host, make_host, tmp_path):
    plain = make_host(1)
    plain.begin(ALONE)
    assert statistics(plain, 0) == {}
    made = host(1)
    state = made.agents[0].state
    state.buffers = {}
    digests = made.snapshot(tmp_path)
    with pytest.raises(RecordError, match="buffers"):
        made.restore(tmp_path, digests)
