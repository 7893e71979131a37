"""An agent's state on disk."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.hosting.state_file import FORMAT, load_state, save_state
from agents.training.blueprint import Arm
from agents.training.shared_model import AgentState
from protocols.errors import RecordError

CPU = torch.device("cpu")


def example() -> AgentState:
    buffer = torch.arange(6.0)
    return AgentState(
        parameters=buffer,
        optimizer=[{"step": torch.tensor(3.0), "exp_avg": buffer[:2]}, {}],
        step=3,
        memory={
            "banks": {4: buffer[2:].view(2, 2).T, 0: torch.zeros(0, 3)},
            "subtree": (2, torch.ones(2, dtype=torch.bfloat16), 1.5),
            "ids": np.array([[1, 2], [3, 4]], dtype=np.int64)[:, ::-1],
            "odd": [None, True, 0.1, math.inf, "text", ()],
        },
        objectives=[{"queue": torch.ones(1, 2)}],
    )


def same(left, right) -> bool:
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, dict):
        assert list(left) == list(right)
        return all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return same(vars(left), vars(right)) if isinstance(left, AgentState) else left == right


def test_state_comes_back_with_its_types_keys_and_bits(tmp_path):
    state = example()
    digest = save_state(state, tmp_path / "state")
    assert same(load_state(tmp_path / "state", CPU, digest), state)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_same_state_gives_the_same_file(tmp_path):
    assert save_state(example(), tmp_path / "a") == save_state(example(), tmp_path / "b")


def test_agent_goes_on_from_a_file_as_if_it_had_never_stopped(make_host, tmp_path):
    exchange = AnchorContrast()

    def begun():
        host = make_host(2)
        host.begin(Arm(exchange, 0.25))
        return host

    host = begun()
    host.train(1)
    paths = {id: tmp_path / f"agent-{id}" for id in host.agents}
    digests = {id: save_state(agent.state, paths[id]) for id, agent in host.agents.items()}
    expected = host.train(2)
    other = begun()
    for id, agent in other.agents.items():
        agent.state = load_state(paths[id], CPU, digests[id])
    actual = other.train(2)
    for id in expected:
        assert actual[id]["loss"] == expected[id]["loss"]
        assert torch.equal(other.agents[id].parameters, host.agents[id].parameters)
        assert same(other.agents[id].state, host.agents[id].state)


def test_strange_values_are_refused_before_anything_is_written(tmp_path):
    state = AgentState(torch.zeros(1), [], memory={"f": len})
    with pytest.raises(TypeError, match="builtin_function"):
        save_state(state, tmp_path / "state")
    assert not list(tmp_path.iterdir())


def damage(path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-1])
    elif how == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "pickle":
        torch.save({"parameters": torch.zeros(1)}, path)
    elif how == "other":
        save_file({"a": torch.zeros(1)}, path)
    elif how == "skeleton":
        save_file({"a": torch.zeros(1)}, path, {FORMAT: json.dumps([1])})


@pytest.mark.parametrize(
    "how", ["missing", "cut", "flipped", "empty", "pickle", "other", "skeleton"]
)
@pytest.mark.parametrize("checked", [True, False])
def test_damaged_files_are_refused_by_name(tmp_path, how, checked):
    path = tmp_path / "agent-3.safetensors"
    digest = save_state(example(), path)
    damage(path, how)
    if how == "flipped" and not checked:
        return  # what the checksum is for
    with pytest.raises(RecordError, match=r"agent-3\.safetensors cannot be read"):
        load_state(path, CPU, digest if checked else None)
