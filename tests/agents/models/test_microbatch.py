"""Batches in parts: the gradient of the whole, in the memory of a part."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.microbatch import narrow, rowwise, split
from agents.objectives import OBJECTIVES, RawBatch, Step
from agents.text.tokens import Text
from agents.training.blueprint import Arm

ALONE = Arm(Isolated(), 0.0)
TOKENS = 40
CONTRASTIVE = ["info_nce", "nt_xent", "simcse"]


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
    st.integers(8, 200),
)
def test_split_keeps_every_text_once_and_every_part_in_its_budget(lengths, tokens):
    parts = split(np.array(lengths), tokens)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    for part in parts:
        longest = max(lengths[row] for row in part)
        assert len(part) * longest <= tokens or len(part) == 1
    # No part could have taken the next one's shortest text in too.
    for part, following in pairwise(parts):
        assert (len(part) + 1) * lengths[following[0]] > tokens


@pytest.fixture(scope="module")
def agents(make_host):
    """An agent with and one without dropout."""
    made = {}
    for dropout in (0.0, 0.1):
        host = make_host(1, encoders=(EncoderConfig(preset="nano", dropout=dropout),))
        host.begin(ALONE)
        made[dropout] = host.agents[0]
    return made


@pytest.fixture
def batch(agents, documents):
    """24 views of 12 documents, of many lengths, on the device."""
    agent = agents[0.0]
    texts = [Text.of(documents[row]) for row in range(12)]
    raw = RawBatch(texts, agent.resident.collate, agent.setting, np.random.default_rng(0))
    prepared = OBJECTIVES["info_nce"]().prepare(raw)
    return agent.resident.to_device(prepared)["views"]


def loss_and_gradient(agent, kind, batch, tokens, autocast=None):
    agent.encoder.train()
    agent.resident.binding.gradient.zero_()
    torch.manual_seed(3)
    objective = OBJECTIVES[kind](temperature=0.1)
    step = Step(
        agent.encoder,
        {"views": batch},
        np.random.default_rng(0),
        state=objective.state_type(),
        micro_batch_tokens=tokens,
    )
    with autocast or nullcontext():
        loss = objective.loss(step).loss
    loss.backward()
    return loss.detach(), agent.resident.binding.gradient.clone()


@pytest.mark.parametrize("kind", CONTRASTIVE)
def test_parts_give_the_gradient_of_one_shot_without_dropout(agents, batch, kind):
    whole = loss_and_gradient(agents[0.0], kind, batch, None)
    parts = loss_and_gradient(agents[0.0], kind, batch, TOKENS)
    assert len(split(batch.lengths, TOKENS)) > 4
    torch.testing.assert_close(parts[0], whole[0])
    torch.testing.assert_close(parts[1], whole[1], rtol=1e-3, atol=1e-6)
    assert whole[1].abs().max() > 0


def kept(function, *arguments, **_):
    """Run a part as it is, its activations kept."""
    return function(*arguments)


@pytest.mark.parametrize("kind", CONTRASTIVE)
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_parts_computed_again_have_the_same_masks_and_gradient_to_the_bit(
    agents, batch, kind, bf16, monkeypatch
):
    def run():
        context = torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else None
        return loss_and_gradient(agents[0.1], kind, batch, TOKENS, context)

    again = run()
    monkeypatch.setattr("torch.utils.checkpoint.checkpoint", kept)
    once = run()
    assert torch.equal(again[0], once[0])
    torch.testing.assert_close(again[1], once[1], rtol=1e-5, atol=1e-7)
    monkeypatch.undo()
    torch.manual_seed(8)
    assert not torch.equal(again[0], loss_and_gradient(agents[0.0], kind, batch, TOKENS)[0])


def peak_bytes(run) -> int:
    """Return the most bytes that were kept for the backward pass at once, storages counted once."""
    live: dict[int, int] = {}
    peak = 0

    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor, self.bytes = tensor, tensor.untyped_storage().nbytes()
            self.key = tensor.untyped_storage().data_ptr()
            counts[self.key] = counts.get(self.key, 0) + 1
            live[self.key] = self.bytes
            nonlocal peak
            peak = max(peak, sum(live.values()))

        def __del__(self) -> None:
            counts[self.key] -= 1
            if counts[self.key] == 0:
                live.pop(self.key, None)

    counts: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        run()
    return peak


def test_parts_keep_less_for_the_backward_pass_than_one_shot(agents, batch):
    agent = agents[0.1]
    parameters = agent.parameters.untyped_storage().nbytes()
    one_shot, parts = (
        peak_bytes(lambda tokens=tokens: loss_and_gradient(agent, "info_nce", batch, tokens))
        for tokens in (None, TOKENS)
    )
    # The parameters, one buffer, are among what is kept either way.
    assert parts - parameters < 0.5 * (one_shot - parameters)


def test_rowwise_keeps_the_order_and_hands_each_part_its_rows(batch):
    seen = []

    def function(part, numbers):
        seen.append(part)
        return torch.stack([part.attention_mask.sum(dim=1).float(), numbers], dim=1)

    numbers = torch.arange(24.0, requires_grad=True)
    output = rowwise(function, batch, (numbers,), TOKENS)
    expected = torch.stack([torch.from_numpy(batch.lengths).float(), numbers], dim=1)
    assert torch.equal(output, expected)
    for part in seen:
        assert part.input_ids.shape == (len(part.lengths), part.lengths.max())
        assert part.input_ids.numel() <= TOKENS
    output[:, 1].sum().backward()
    assert torch.equal(numbers.grad, torch.ones(24))


def test_narrow_takes_token_types_along(batch):
    typed = batch._replace(token_type_ids=batch.input_ids % 2)
    rows = np.array([3, 0])
    part = narrow(typed, torch.from_numpy(rows), rows)
    width = batch.lengths[rows].max()
    assert torch.equal(part.token_type_ids, typed.token_type_ids[[3, 0], :width])


def test_training_in_parts_learns_as_in_one_shot(make_host):
    losses = []
    for tokens in (None, TOKENS):
        host = make_host(1, training={"micro_batch_tokens": tokens, "local_steps": 3})
        host.begin(ALONE)
        losses.append([host.train(round)[0]["loss"] for round in (1, 2)])
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("preset", ["nano", "nano-decoder"])
@pytest.mark.parametrize("tokens", [None, TOKENS])
def test_activation_checkpointing_changes_no_gradient_with_dropout_active(
    make_host, batch, preset, tokens
):
    results, kept_bytes = [], []
    for checkpointing in (False, True):
        host = make_host(
            1,
            encoders=(EncoderConfig(preset=preset, dropout=0.1),),
            training={"activation_checkpointing": checkpointing},
        )
        host.begin(ALONE)
        agent = host.agents[0]
        results.append(loss_and_gradient(agent, "info_nce", batch, tokens))
        kept_bytes.append(
            peak_bytes(lambda agent=agent: loss_and_gradient(agent, "info_nce", batch, tokens))
        )
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-7)
    if tokens is None:
        assert kept_bytes[1] < kept_bytes[0]
