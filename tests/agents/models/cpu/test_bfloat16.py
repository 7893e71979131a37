from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.models.cpu.bfloat16 import RoundedLinear, has_bfloat16_units, rounded, use_rounding


def layers() -> tuple[nn.Linear, nn.Linear]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = nn.Linear(48, 32)
    converted = nn.Linear(48, 32)
    converted.load_state_dict(plain.state_dict())
    use_rounding(nn.Sequential(converted))
    return plain, converted


def test_rounded_layer_gives_what_autocast_gives_within_one_unit_in_the_last_place():
    plain, converted = layers()
    x = torch.randn(5, 48, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = plain(x)
    assert expected.dtype == torch.bfloat16
    # bfloat16 keeps 8 significant bits: neighbours differ by at most 2^-7 of their value.
    torch.testing.assert_close(converted(x), expected.float(), rtol=2**-7, atol=1e-6)
    assert converted(x).dtype == torch.float32


def test_rounded_layer_has_the_gradients_of_autocast():
    plain, converted = layers()
    x = torch.randn(5, 48, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain(x).float().pow(2).sum().backward()
    converted(x).pow(2).sum().backward()
    for own, other in zip(converted.parameters(), plain.parameters(), strict=True):
        scale = float(other.grad.abs().max())
        torch.testing.assert_close(own.grad, other.grad, rtol=0.02, atol=0.01 * scale)


def test_rounding_loses_what_bfloat16_cannot_hold_and_passes_a_rounded_gradient():
    x = torch.tensor([1.0, 1.0 + 2**-9, 1.0 + 2**-7], requires_grad=True)
    assert rounded(x).tolist() == [1.0, 1.0, 1.0 + 2**-7]
    rounded(x).backward(torch.tensor([1.0 + 2**-9, 1.0, 2.0]))
    assert x.grad.tolist() == [1.0, 1.0, 2.0]


def test_conversion_reaches_every_linear_layer_and_keeps_tied_parameters():
    embedding, output = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
    output.weight = embedding.weight
    module = nn.ModuleDict({"deep": nn.Sequential(nn.Linear(4, 4)), "output": output})
    use_rounding(module)
    assert sum(isinstance(child, RoundedLinear) for child in module.modules()) == 2
    assert output.weight is embedding.weight


@pytest.mark.parametrize("units", [True, False])
def test_bf16_is_autocast_with_units_and_rounding_without(make_host, monkeypatch, units):
    monkeypatch.setattr("agents.training.shared_model.has_bfloat16_units", lambda device: units)
    resident = make_host(1, training={"precision": "bf16"}).residents[0]
    converted = any(isinstance(child, RoundedLinear) for child in resident.encoder.modules())
    assert converted is not units
    with resident.autocast():
        assert torch.is_autocast_enabled("cpu") is units
    plain = make_host(1).residents[0]
    assert not any(isinstance(child, RoundedLinear) for child in plain.encoder.modules())
    assert has_bfloat16_units(torch.device("cuda"))
