from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters.error_feedback import compensated
from protocols.codecs import CODECS
from protocols.codecs.fp32 import Fp32
from protocols.codecs.top_k import TopK

LOSSY = {kind: codec() for kind, codec in CODECS.items() if kind != "fp32"}


def changes(count: int = 30, size: int = 50) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    constant = torch.linspace(-1e-3, 1e-3, size)  # small, and always the same way
    return [constant + 0.01 * torch.randn(size, generator=draw) for _ in range(count)]


@pytest.mark.parametrize("codec", LOSSY.values(), ids=LOSSY)
def test_received_changes_sum_to_the_true_ones_minus_the_last_residual(codec) -> None:
    residual = None
    received = np.zeros(50)
    for change in changes():
        before = change.clone()
        sent, residual = compensated(change, codec, residual)
        received += codec.roundtrip(sent.numpy())
        assert torch.equal(change, before)
    true = sum(change.double() for change in changes()).numpy()
    np.testing.assert_allclose(received + residual.numpy(), true, atol=1e-6)


def test_coarse_codec_loses_far_less_with_feedback_than_without() -> None:
    codec, residual, fed = TopK(share=0.05), None, np.zeros(50)
    true = sum(changes()).numpy()
    without = sum(codec.roundtrip(change.numpy()) for change in changes())
    for change in changes():
        sent, residual = compensated(change, codec, residual)
        fed += codec.roundtrip(sent.numpy())
    assert np.linalg.norm(fed - true) < 0.5 * np.linalg.norm(without - true)


def test_lossless_codec_leaves_no_residual() -> None:
    change = torch.ones(3)
    sent, residual = compensated(change, Fp32(), None)
    assert torch.equal(sent, change)
    assert sent.data_ptr() != change.data_ptr()
    assert residual is None
