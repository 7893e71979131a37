"""Batches in buckets: the least padding that is worth its passes, and training that learns the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.microbatch import rowwise
from agents.objectives import InfoNCE, MaskedLM
from agents.text.length_buckets import buckets, pass_tokens
from agents.training.blueprint import Arm
from agents.views import Crop

ALONE = Arm(Isolated(), 0.25)
NOISY = EncoderConfig(preset="nano", dropout=0.1)


def partitions(items):
    """Yield every way to put items into buckets."""
    if not items:
        yield []
        return
    first, *rest = items
    for others in partitions(rest):
        yield [[first], *others]
        for index, bucket in enumerate(others):
            yield [*others[:index], [first, *bucket], *others[index + 1 :]]


def cost(parts, each):
    return sum(len(part) * max(part) + each for part in parts)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(1, 60))
def test_no_other_buckets_cost_less(lengths, each):
    found = buckets(np.array(lengths), each)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    told = cost([[lengths[row] for row in rows] for rows in found], each)
    assert told == min(cost(parts, each) for parts in partitions(lengths))


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 500))
def test_texts_of_one_length_are_one_bucket(count, length, each):
    (rows,) = buckets(np.full(count, length), each)
    assert rows.tolist() == list(range(count))


def test_a_pass_costs_the_more_tokens_the_narrower_the_encoder():
    assert [pass_tokens(width) for width in (64, 256, 100_000)] == [256, 64, 1]


@pytest.fixture
def divided(monkeypatch):
    """Let a pass cost next to nothing; return how many buckets each batch has been cut into."""
    counts = []

    def counted(lengths, each):
        found = buckets(lengths, each)
        counts.append(len(found))
        return found

    monkeypatch.setattr("agents.training.shared_model.pass_tokens", lambda width: 2)
    monkeypatch.setattr("agents.models.microbatch.buckets", counted)
    return counts


@pytest.fixture
def batch(make_host, documents):
    """Twelve documents of many lengths, on the device."""
    resident = make_host(1).residents[0]
    return resident.batch(resident.collate([documents[row] for row in range(12)]))


def test_each_bucket_is_padded_to_its_own_longest_text_and_rows_come_back_in_order(batch):
    seen = []

    def function(part, numbers):
        seen.append(part)
        return torch.stack([part.attention_mask.sum(dim=1).float(), numbers], dim=1)

    numbers = torch.arange(12.0, requires_grad=True)
    output = rowwise(function, batch, (numbers,), None, pass_tokens=2)
    assert torch.equal(output, torch.stack([torch.from_numpy(batch.lengths).float(), numbers], 1))
    assert len(seen) > 1
    for part in seen:
        assert part.input_ids.shape == (len(part.lengths), part.lengths.max())
    output[:, 1].sum().backward()
    assert torch.equal(numbers.grad, torch.ones(12))


def test_a_batch_that_is_not_worth_dividing_goes_through_as_it_is(batch):
    seen = []
    rowwise(lambda part: seen.append(part) or part.attention_mask, batch, (), None, pass_tokens=999)
    assert len(seen) == 1
    assert seen[0] is batch


@pytest.mark.parametrize("objective", [InfoNCE(), MaskedLM(views=(Crop(),))], ids=lambda o: o.kind)
def test_training_in_buckets_learns_as_in_one_pass_and_counts_the_same_tokens(
    make_host, divided, objective
):
    told = []
    for length_buckets in (False, True):
        training = {"length_buckets": length_buckets}
        host = make_host(1, objectives=(objective,), training=training)
        host.begin(ALONE)
        rounds = [host.train(round)[0] for round in (1, 2)]
        assert bool(divided) is length_buckets
        told.append([[metrics[name] for name in ("loss", "tokens")] for metrics in rounds])
    assert max(divided) > 1
    np.testing.assert_allclose(*told, rtol=1e-4)


def test_training_goes_on_to_the_same_bits_with_dropout(make_host, divided):
    host = make_host(1, encoders=(NOISY,))
    host.begin(ALONE)
    agent = host.agents[0]
    agent.train(ALONE, 1)
    kept = copy.deepcopy(agent.state)
    agent.train(ALONE, 2)
    expected = agent.state.parameters.clone()
    agent.state = kept
    agent.train(ALONE, 2)
    assert torch.equal(agent.state.parameters, expected)
    assert max(divided) > 1


@pytest.mark.parametrize(
    ("length_buckets", "device", "expected"),
    [(None, "cpu", 256), (None, "cuda", None), (True, "cuda", 256), (False, "cpu", None)],
)
def test_batches_are_divided_on_a_cpu_or_as_configured(make_host, length_buckets, device, expected):
    resident = make_host(1, training={"length_buckets": length_buckets}).residents[0]
    resident.device = torch.device(device)
    assert resident.pass_tokens == expected
