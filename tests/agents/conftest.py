"""One thread, so that sums are added in one order and concurrent tests do not compete."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.pretrained import load_tokenizer
from agents.training.blueprint import Arm, Group


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def blueprint_of(make_blueprint, sentences, documents):
    """Make the blueprint of agents whose encoder lies in a folder."""

    def make(path, agents=1, max_length=16, **fields):
        config = EncoderConfig(path=str(path), **fields.pop("encoder", {}))
        own = load_tokenizer(config)
        encoded = own(list(sentences), add_special_tokens=False)["input_ids"]
        group = Group(config, own, type(documents)(np.asarray(ids) for ids in encoded))
        training = {"max_length": max_length, "learning_rate": 1e-3}
        return make_blueprint(agents, groups=(group,), training=training, **fields)

    return make


@pytest.fixture
def host_of(blueprint_of, make_host):
    def make(path, **fields):
        host = make_host(1)
        host.build(blueprint_of(path, **fields))
        host.begin(Arm(Isolated(), 0.25))
        return host

    return make
