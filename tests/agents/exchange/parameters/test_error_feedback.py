from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters.error_feedback import RESIDUAL, compensated
from protocols.codecs import CODECS
from protocols.codecs.fp32 import Fp32
from protocols.codecs.top_k import TopK

LOSSY = {kind: codec() for kind, codec in CODECS.items() if kind != "fp32"}


def changes(count: int = 30, size: int = 50) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    constant = torch.linspace(-1e-3, 1e-3, size)  # small, and always the same way
    return [constant + 0.01 * torch.randn(size, generator=draw) for _ in range(count)]


@pytest.mark.parametrize("codec", LOSSY.values(), ids=LOSSY)
def test_sum_of_what_is_heard_is_the_sum_of_changes_but_for_the_last_residual(codec) -> None:
    memory: dict[str, torch.Tensor] = {}
    heard = np.zeros(50)
    for change in changes():
        before = change.clone()
        sent = compensated(change, codec, memory).numpy()
        heard += codec.roundtrip(sent)
        assert torch.equal(change, before)
    true = sum(change.double() for change in changes()).numpy()
    np.testing.assert_allclose(heard + memory[RESIDUAL].numpy(), true, atol=1e-6)


def test_coarse_codec_loses_far_less_with_feedback_than_without() -> None:
    codec, memory = TopK(share=0.05), {}
    true = sum(changes()).numpy()
    without = sum(codec.roundtrip(change.numpy()) for change in changes())
    fed = sum(codec.roundtrip(compensated(change, codec, memory).numpy()) for change in changes())
    assert np.linalg.norm(fed - true) < 0.5 * np.linalg.norm(without - true)


def test_nothing_is_remembered_where_nothing_is_lost() -> None:
    memory: dict[str, torch.Tensor] = {}
    change = torch.ones(3)
    sent = compensated(change, Fp32(), memory)
    assert torch.equal(sent, change)
    assert sent.data_ptr() != change.data_ptr()
    assert memory == {}


def test_residuals_of_two_streams_are_kept_apart() -> None:
    codec, memory = TopK(share=0.5), {}
    compensated(torch.tensor([1.0, 0.5]), codec, memory, "up")
    compensated(torch.tensor([0.25, 1.0]), codec, memory, "down")
    assert memory["up"].tolist() == [0.0, 0.5]
    assert memory["down"].tolist() == [0.25, 0.0]
