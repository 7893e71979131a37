"""bfloat16 is chosen where there are units for it and the step is large enough, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agents.training.precision import StepSize, pays_in_bfloat16

CPU = torch.device("cpu")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.training.precision.has_bfloat16_units", lambda device: True)


@pytest.mark.parametrize(
    ("steps", "pays"),
    [
        ([StepSize(100_000, 500)], True),
        ([StepSize(100_000, 499)], False),
        ([StepSize(100_000, 64), StepSize(400_000, 200)], True),  # most of the work gains
    ],
)
def test_largest_step_decides(units: None, steps: list[StepSize], pays: bool) -> None:
    assert pays_in_bfloat16(steps, CPU) is pays


def test_small_steps_of_a_gpu_and_unknown_devices_keep_fp32(units: None) -> None:
    step = [StepSize(100_000, 1_000)]
    assert pays_in_bfloat16(step, CPU)
    assert not pays_in_bfloat16(step, torch.device("cuda"))
    assert not pays_in_bfloat16([StepSize(10**9, 10**6)], torch.device("meta"))


def test_processor_without_units_keeps_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.training.precision.has_bfloat16_units", lambda device: False)
    assert not pays_in_bfloat16([StepSize(10**9, 10**6)], CPU)


def test_size_of_a_step_counts_the_weights_of_the_layers(make_host: Callable[..., Any]) -> None:
    encoder = make_host(1).residents[0].encoder
    config = encoder.backbone.config
    width, between = config.hidden_size, config.intermediate_size
    projection, norm = width * width + width, 2 * width
    layer = 4 * projection + 2 * width * between + between + width + 2 * norm
    # A norm after the embeddings, and the pooler.
    weights = config.num_hidden_layers * layer + norm + projection
    assert StepSize.of(encoder, 48) == (weights, 48)


def test_host_measures_its_own_encoders_and_batches(
    make_host: Callable[..., Any], units: None
) -> None:
    training = {"precision": "auto", "max_length": 32}
    host = make_host(1, training={**training, "batch_size": 2})
    weights = StepSize.of(host.residents[0].encoder, 0).weights
    enough = -(-50_000_000 // (weights * 32))
    assert host.choose_precision() == "fp32"
    assert make_host(1, training={**training, "batch_size": enough}).choose_precision() == "bf16"
