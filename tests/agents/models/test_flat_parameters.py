from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from agents.models.flat_parameters import Binding, copy_buffers, flatten, layout_of


class Model(nn.Module):
    """Odd sizes, a vector among matrices, a frozen part, and an embedding tied to the output."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(5))
        self.embedding = nn.Embedding(7, 3)
        self.frozen = nn.Linear(3, 3)
        self.hidden = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.randn(()))
        self.output = nn.Linear(3, 7, bias=False)
        self.output.weight = self.embedding.weight
        self.frozen.requires_grad_(False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states = self.frozen(self.hidden(self.embedding(ids)).tanh())
        return self.output(states) * self.scale + self.bias.sum()


IDS = torch.tensor([0, 3, 6, 3])


@pytest.fixture
def model() -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model()


def loss_of(model: nn.Module) -> torch.Tensor:
    return model(IDS).pow(2).mean()


def test_layout_orders_matrices_then_vectors_and_leaves_out_the_frozen(model):
    layout = layout_of(model)
    assert [slot.name for slot in layout.slots] == [
        "embedding.weight",
        "hidden.weight",
        "bias",
        "scale",
        "hidden.bias",
    ]
    ends = [
        max(slot.start + slot.length for slot in layout.slots if slot.start < border)
        for border in (layout.decayed, layout.size)
    ]
    assert ends[0] <= layout.decayed < layout.size
    starts = {slot.name: slot.start for slot in layout.slots}
    assert starts["bias"] == layout.decayed
    assert ends[1] <= layout.size


def test_layout_aligns_every_parameter_to_a_cache_line(model):
    layout = layout_of(model)
    flat = flatten(model, layout)
    assert flat.data_ptr() % 64 == 0
    assert all(slot.start % 16 == 0 for slot in layout.slots)
    assert layout.size % 16 == 0
    previous = 0
    for slot in layout.slots:
        assert 0 <= slot.start - previous < 16
        previous = slot.start + slot.length


def test_layout_counts_trained_parameters_once_and_without_padding(model):
    # 7 x 3 tied once, 3 x 3, and 5 + 1 + 3 in vectors; the frozen 12 are left out.
    assert layout_of(model).parameter_count == 21 + 9 + 9


def test_fingerprint_depends_on_names_and_shapes_and_not_on_values(model):
    fingerprint = layout_of(model).fingerprint
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.bias += 1.0
    assert layout_of(other).fingerprint == fingerprint
    assert layout_of(nn.Linear(2, 3)).fingerprint != layout_of(nn.Linear(3, 2)).fingerprint
    wrapped = nn.ModuleDict({"inner": nn.Linear(2, 3)})
    assert layout_of(wrapped).fingerprint != layout_of(nn.Linear(2, 3)).fingerprint


def test_flatten_copies_every_value_and_leaves_padding_zero(model):
    layout = layout_of(model)
    flat = flatten(model, layout)
    named = dict(model.named_parameters())
    rest = torch.ones(layout.size, dtype=torch.bool)
    for slot in layout.slots:
        span = slice(slot.start, slot.start + slot.length)
        assert torch.equal(flat[span].view(slot.shape), named[slot.name])
        rest[span] = False
    assert (flat[rest] == 0).all()
    flat.zero_()
    assert model.bias.abs().sum() > 0


def test_binding_points_the_module_at_one_buffer_and_then_another(model):
    plain = copy.deepcopy(model)
    flat = flatten(model, layout_of(model))
    binding = Binding(model)
    binding.point_at(flat)
    assert torch.equal(model(IDS), plain(IDS))
    binding.point_at(2.0 * flat)
    with torch.no_grad():
        for parameter in plain.parameters():
            if parameter.requires_grad:
                parameter.mul_(2.0)
    assert torch.equal(model(IDS), plain(IDS))
    assert model.output.weight is model.embedding.weight


def test_binding_shares_memory_with_the_buffer_in_both_directions(model):
    flat = flatten(model, layout_of(model))
    binding = Binding(model)
    binding.point_at(flat)
    with torch.no_grad():
        model.hidden.weight.fill_(0.25)
    slot = next(s for s in binding.layout.slots if s.name == "hidden.weight")
    assert (flat[slot.start : slot.start + slot.length] == 0.25).all()
    flat.zero_()
    assert all(
        (parameter == 0).all() for parameter in model.parameters() if parameter.requires_grad
    )
    assert (model.frozen.weight != 0).any()


def test_binding_gathers_exactly_the_gradients_of_autograd_in_the_flat_gradient(model):
    plain = copy.deepcopy(model)
    loss_of(plain).backward()
    binding = Binding(model)
    binding.point_at(flatten(plain, binding.layout))
    for _ in range(2):  # a second time: the views must have survived the first
        binding.gradient.zero_()
        loss_of(model).backward()
        expected = dict(plain.named_parameters())
        rest = torch.ones(binding.layout.size, dtype=torch.bool)
        assert all(p.grad is None for p in model.frozen.parameters())
        for slot in binding.layout.slots:
            span = slice(slot.start, slot.start + slot.length)
            actual = binding.gradient[span].view(slot.shape)
            assert torch.equal(actual, expected[slot.name].grad), slot.name
            rest[span] = False
        assert (binding.gradient[rest] == 0).all()


def test_binding_accumulates_gradients_in_place_whichever_buffer_is_current(model):
    binding = Binding(model)
    first = flatten(model, binding.layout)
    places = [p.grad.data_ptr() for p in model.parameters() if p.grad is not None]
    binding.point_at(first)
    loss_of(model).backward()
    once = binding.gradient.clone()
    binding.point_at(first.clone())
    loss_of(model).backward()
    assert [p.grad.data_ptr() for p in model.parameters() if p.grad is not None] == places
    torch.testing.assert_close(binding.gradient, 2 * once)


def test_buffers_are_copied_and_one_that_is_not_set_stays_so() -> None:
    mean = torch.ones(2)
    copied = copy_buffers({"mean": mean, "unset": None})
    mean.zero_()
    assert copied["mean"] is not None
    assert copied["mean"].tolist() == [1.0, 1.0]
    assert copied["unset"] is None
