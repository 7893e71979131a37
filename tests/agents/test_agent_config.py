from __future__ import annotations

import pytest
from pydantic import ValidationError

from agents.config import EncoderConfig


@pytest.mark.parametrize(
    ("config", "origin", "from_scratch"),
    [
        (EncoderConfig(), "tiny", True),
        (EncoderConfig(preset="small"), "small", True),
        (EncoderConfig(path="./minilm"), "./minilm", False),
        (EncoderConfig(name="bert-base-uncased"), "bert-base-uncased", False),
        (EncoderConfig(preset=None, path="x"), "x", False),
    ],
)
def test_origin_names_where_an_encoder_comes_from(config, origin, from_scratch):
    assert config.origin == origin
    assert config.from_scratch == from_scratch
    assert EncoderConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "nano", "path": "x"},
        {"name": "x", "path": "x"},
        {"preset": "huge"},
        {"dropout": 1.0},
        {"projection": -1},
        {"pooling": "max"},
        {"colour": "red"},
    ],
)
def test_encoder_that_cannot_be_is_refused(values):
    with pytest.raises(ValidationError):
        EncoderConfig(**values)
