"""Attention by matrix products equals a plain one in float64, and transformers' own where it passes on."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedModel

from agents.models.cpu import matmul_attention as module
from agents.models.cpu.matmul_attention import NAME, matmul_attention, use_matmul_attention

B, H, T, K = 3, 4, 6, 8
BFLOAT16 = 2.0**-8
"""Rounding of one number; sums here are of at most eight of them."""


def layer(causal: bool = False) -> SimpleNamespace:
    return SimpleNamespace(is_causal=causal)


def inputs(groups: int = H, dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    torch.manual_seed(0)
    heads = (H, groups, groups)
    return [torch.randn(B, n, T, K, dtype=dtype).requires_grad_() for n in heads]


def slow_attention(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float = K**-0.5
) -> Tensor:
    """Attend token by token, in float64: `[B, T, H, K]`."""
    query, key, value = (x.double() for x in (query, key, value))
    shared = H // key.shape[1]
    out = torch.zeros(B, T, H, K, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                keys = [s for s in range(T) if seen[b, t, s]]
                scores = torch.stack([query[b, h, t] @ key[b, h // shared, s] for s in keys])
                weights = torch.softmax(scores * scale, dim=0)
                out[b, t, h] = sum(
                    w * value[b, h // shared, s] for w, s in zip(weights, keys, strict=True)
                )
    return out


def padding() -> Tensor:
    """Which tokens are seen `[B, T, T]`: the texts have 6, 4 and 1 tokens."""
    seen = torch.zeros(B, T, T, dtype=torch.bool)
    for b, length in enumerate((6, 4, 1)):
        seen[b, :, :length] = True
    return seen


ALL = torch.ones(B, T, T, dtype=torch.bool)
CAUSAL = ALL.tril()


@pytest.mark.parametrize("groups", [H, 2, 1])
@pytest.mark.parametrize(
    ("seen", "mask", "causal"),
    [
        (ALL, None, False),
        (CAUSAL, None, True),
        (padding(), padding()[:, None], False),
        (padding() & CAUSAL, (padding() & CAUSAL)[:, None], True),
        (padding(), torch.zeros(B, 1, T, T).masked_fill(~padding()[:, None], -1e9), False),
    ],
    ids=["whole", "causal", "padded", "causal and padded", "added"],
)
def test_attention_equals_the_slow_one(groups, seen, mask, causal):
    query, key, value = inputs(groups)
    out, _ = matmul_attention(layer(causal), query, key, value, mask)
    want = slow_attention(query, key, value, seen)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.double(), want, atol=8 * BFLOAT16)
    along = torch.randn_like(want)
    gradients = torch.autograd.grad((out.double() * along).sum(), (query, key, value))
    wanted = torch.autograd.grad((want * along).sum(), (query, key, value))
    for gradient, exact in zip(gradients, wanted, strict=True):
        assert torch.allclose(gradient.double(), exact.double(), atol=24 * BFLOAT16)


@pytest.mark.parametrize("keys", [1, 15, 16, 17, 31, 32, 33, 64])
def test_softmax_is_the_same_however_many_keys_fill_a_vector(keys):
    torch.manual_seed(0)
    scores = (8 * torch.randn(2, 3, 4, keys)).bfloat16().requires_grad_()
    weights, exact = module._softmax(scores), torch.softmax(scores.double(), dim=-1)
    assert weights.dtype == torch.bfloat16
    assert torch.allclose(weights.double(), exact, rtol=BFLOAT16, atol=1e-6)
    along = torch.randn_like(exact)
    (gradient,) = torch.autograd.grad((weights.double() * along).sum(), scores)
    (wanted,) = torch.autograd.grad((exact * along).sum(), scores)
    assert torch.allclose(gradient.double(), wanted.double(), atol=8 * BFLOAT16)


def test_scale_of_the_scores_is_taken_over():
    query, key, value = inputs()
    out, _ = matmul_attention(layer(), query, key, value, None, scaling=2.0)
    want = slow_attention(query, key, value, ALL, scale=2.0)
    assert torch.allclose(out.double(), want, atol=16 * BFLOAT16)


def test_row_of_padding_attends_to_nothing_and_stays_finite():
    query, key, value = inputs()
    out, _ = matmul_attention(layer(), query, key, value, torch.zeros(B, 1, T, T).bool())
    out.float().sum().backward()
    assert out.isfinite().all()
    assert query.grad is not None
    assert query.grad.isfinite().all()


def test_dropped_weights_have_their_share_and_their_scale():
    torch.manual_seed(0)
    query = key = torch.zeros(64, 8, 32, 4, dtype=torch.bfloat16)  # all weights are 1 / 32
    value = torch.ones(64, 8, 32, 4, dtype=torch.bfloat16)
    out, _ = matmul_attention(layer(), query, key, value, None, dropout=0.25)
    kept = out.float() * 0.75  # share of the weights that are kept, of 32
    # 16,384 rows of 32 draws: a standard deviation of 0.0006.
    assert kept.mean().item() == pytest.approx(0.75, abs=4e-3)
    assert kept[..., 0].std().item() == pytest.approx((0.25 * 0.75 / 32) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("dtype", "options", "most"),
    [
        (torch.float32, {}, 2**28),
        (torch.bfloat16, {"softcap": None}, B * H * T * T - 1),
        (torch.bfloat16, {"position_bias": torch.zeros(1, H, T, T)}, 2**28),
    ],
    ids=["float32", "too large", "biased"],
)
def test_what_it_is_not_for_is_passed_on(dtype, options, most):
    with (
        patch.object(module, "sdpa_attention_forward") as passed_on,
        patch.object(module, "_MOST_SCORES", most),
    ):
        matmul_attention(layer(), *inputs(dtype=dtype), None, **options)
    passed_on.assert_called_once()


def test_batch_at_the_limit_is_not_passed_on():
    with patch.object(module, "_MOST_SCORES", B * H * T * T):
        matmul_attention(layer(), *inputs(), None)


SMALL = {"vocab_size": 50, "attn_implementation": "sdpa"}


def bert() -> PreTrainedModel:
    return BertModel(
        BertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            **SMALL,
        )
    ).eval()


def gpt2() -> PreTrainedModel:
    return GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=2, **SMALL)).eval()


@pytest.mark.parametrize("build", [bert, gpt2])
@pytest.mark.parametrize("lengths", [(7, 7), (7, 3)], ids=["equal", "padded"])
def test_models_encode_as_in_float32_and_are_saved_without_a_trace(build, lengths, tmp_path):
    torch.manual_seed(0)
    model = build()
    ids = torch.randint(5, 50, (2, 7))
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).long()

    def encode() -> Tensor:
        with torch.no_grad():
            states: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
            return states.float() * mask[..., None]

    exact = encode()
    use_matmul_attention(model)
    assert model.config._attn_implementation == NAME
    assert torch.equal(encode(), exact)  # float32 goes the old way
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = encode()
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.05)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_model_that_attends_otherwise_keeps_its_attention():
    model = bert()
    model.set_attn_implementation("eager")
    use_matmul_attention(model)
    assert model.config._attn_implementation == "eager"
