"""The contract of every retention in the table: what it stores, all of it in the agent's state."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, get_args

import numpy as np
import pytest
import torch

from agentos.runtime.host_calls import Consolidate
from agents.continual import RETENTIONS, Retention
from agents.exchange.isolated import Isolated
from agents.hosting.pytree import flatten, tree_bytes
from agents.objectives import Labelled
from agents.training.blueprint import Arm

SETTINGS: dict[str, dict[str, Any]] = {"ridge": {"classes": 4}}
ALONE = Arm(Isolated(), anchor_fraction=0.25)


@pytest.fixture(params=RETENTIONS)
def retention(request) -> Retention:
    return RETENTIONS[request.param](**SETTINGS.get(request.param, {}))


@pytest.fixture
def host(make_host, retention):
    host = make_host(2, objectives=(Labelled(classes=4), retention), training={"local_steps": 3})
    host.begin(ALONE)
    return host


def state_of(host: Any, agent: int = 0) -> dict[str, bytes | Any]:
    skeleton, tensors = flatten(host.agents[agent].state.to_tree())
    return {"skeleton": skeleton, **{k: v.numpy().tobytes() for k, v in tensors.items()}}


def test_kind_is_the_key_in_the_table() -> None:
    for kind, cls in RETENTIONS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__
        assert is_dataclass(cls.state_type)


def test_nothing_is_added_before_the_end_of_the_first_episode(host, retention) -> None:
    metrics = host.train(1)
    assert metrics[0][f"{retention.kind}_loss"] == 0.0


def test_training_goes_on_from_what_was_stored(host, retention) -> None:
    host.train(1)
    Consolidate(0).run(host)
    metrics = host.train(2)
    assert np.isfinite(metrics[0]["loss"])
    assert torch.isfinite(host.agents[0].parameters).all()
    if retention.kind != "ridge":  # which adds no loss
        assert metrics[0][f"{retention.kind}_loss"] > 0.0


def test_state_survives_a_file_to_the_byte_and_training_goes_on_the_same(host, tmp_path) -> None:
    host.train(1)
    Consolidate(0).run(host)
    digests = host.snapshot(tmp_path)
    kept = state_of(host)
    host.train(2)
    Consolidate(1).run(host)
    ahead = state_of(host)
    assert ahead != kept
    host.restore(tmp_path, digests)
    assert state_of(host) == kept
    host.train(2)
    Consolidate(1).run(host)
    assert state_of(host) == ahead


def test_memory_is_part_of_the_state_that_is_counted(host) -> None:
    host.train(1)
    before = tree_bytes(host.agents[0].state.tensors())
    Consolidate(0).run(host)
    assert tree_bytes(host.agents[0].state.tensors()) > before
