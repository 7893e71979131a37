from __future__ import annotations

import pytest
from pydantic import ValidationError

from agents.training.config import TrainingConfig


@pytest.mark.parametrize(
    "values",
    [
        {"rounds": 0},
        {"local_steps": 0},
        {"batch_size": 1},
        {"max_length": 7},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"warmup_steps": -1},
        {"optimizer": {"kind": "adamw", "betas": (0.9, 1.0)}},
        {"optimizer": {"kind": "adamw", "betas": (-0.1, 0.9)}},
        {"optimizer": {"kind": "sgd", "momentum": 0.0, "nesterov": True}},
        {"clip_norm": 0.0},
        {"precision": "fp16"},
    ],
)
def test_training_that_cannot_be_is_refused(values):
    with pytest.raises(ValidationError):
        TrainingConfig(**values)


def test_clipping_can_be_switched_off():
    assert TrainingConfig(clip_norm=None).clip_norm is None
