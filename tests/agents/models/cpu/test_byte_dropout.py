from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.models.cpu.byte_dropout import ByteDropout, dropout_of, use_byte_dropout


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(*shape, dtype=dtype)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_zeroes_the_stated_share_and_scales_the_rest_by_its_complement(p):
    out = ByteDropout(p)(ones(1000, 1000))
    force = round(256 * p) / 256
    kept = out != 0
    # A share of a million independent draws: five standard deviations are below 0.0025.
    assert (~kept).float().mean().item() == pytest.approx(force, abs=2.5e-3)
    assert torch.allclose(out[kept], torch.tensor(1 / (1 - force)))
    assert out.mean().item() == pytest.approx(1.0, abs=5 * (force / (1 - force) / 1e6) ** 0.5)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_has_no_bias_in_any_of_the_eight_bytes_of_a_word(p):
    dropped = (ByteDropout(p)(ones(400_000, 8)) == 0).float()
    force = round(256 * p) / 256
    # 400,000 draws each: a standard deviation of at most 0.0008.
    assert (dropped.mean(dim=0) - force).abs().max() < 4e-3
    together = torch.corrcoef(dropped.T) - torch.eye(8)
    assert together.abs().max() < 8e-3


def test_dropout_is_deterministic_under_the_seed_and_new_at_every_call():
    layer, x = ByteDropout(0.5), ones(64, 64)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x), second)
    assert not torch.equal(first, second)


def test_dropout_draws_from_the_global_generator_alone_and_does_nothing_in_evaluation():
    layer, x = ByteDropout(0.5), torch.randn(5, 7)
    layer.eval()
    before = torch.get_rng_state()
    assert layer(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_with_probability_zero_returns_its_input():
    x = torch.randn(5, 7)
    assert ByteDropout(0.0)(x) is x


@pytest.mark.parametrize("shape", [(), (1,), (7,), (8,), (9,), (3, 5, 7), (0,), (0, 4)])
def test_dropout_keeps_any_shape(shape):
    out = ByteDropout(0.5)(torch.full(shape, 3.0))
    assert out.shape == shape
    assert set(out.flatten().tolist()) <= {0.0, 6.0}


def test_dropout_accepts_a_transposed_input():
    x = torch.randn(6, 10).T
    out = ByteDropout(0.5)(x)
    assert torch.equal(out[out != 0], (2 * x)[out != 0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dropout_keeps_the_dtype_and_almost_the_expectation(dtype):
    out = ByteDropout(0.1)(ones(512, 512, dtype=dtype))
    assert out.dtype == dtype
    # The factor 1.113 rounds to a multiple of 2^-7 in bfloat16: at most 0.4 % away.
    assert out.double().mean().item() == pytest.approx(1.0, abs=8e-3)


def test_dropout_passes_the_same_mask_to_the_gradient():
    x = torch.randn(50, 3, requires_grad=True)
    out = ByteDropout(0.5)(x)
    out.sum().backward()
    assert torch.equal(out, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, 2.0}


def test_dropout_close_to_one_still_keeps_something():
    out = ByteDropout(0.9999)(ones(100_000))
    assert 0 < (out != 0).float().mean() < 0.01
    assert torch.isfinite(out).all()


def test_use_byte_dropout_replaces_plain_dropout_at_any_depth_and_nothing_else():
    class Own(nn.Dropout):
        pass

    inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), Own(0.4), nn.Dropout1d(0.3))
    module = nn.ModuleDict({"dropout": nn.Dropout(0.1), "inner": inner})
    use_byte_dropout(module)
    assert isinstance(module["dropout"], ByteDropout)
    assert [type(child) for child in inner] == [nn.Linear, ByteDropout, Own, nn.Dropout1d]
    assert inner[1].p == 0.2


def test_dropout_of_is_the_largest_in_force_before_and_after_replacement():
    module = nn.Sequential(nn.Dropout(0.25), nn.Sequential(nn.Dropout(0.5)))
    assert dropout_of(module) == 0.5
    use_byte_dropout(module)
    assert dropout_of(module) == 0.5
    assert dropout_of(nn.Linear(2, 2)) == 0.0
    # One in a thousand is less than half a byte: nothing is ever dropped.
    assert dropout_of(ByteDropout(0.001)) == 0.0
