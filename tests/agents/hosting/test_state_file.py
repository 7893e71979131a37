"""An agent's state on disk."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.exchange.anchors.anchor_contrast import AnchorContrast, AnchorContrastState
from agents.exchange.base import ExchangeState
from agents.hosting.state_file import FORMAT, load_state, save_state, save_tree
from agents.objectives.base import ObjectiveState
from agents.objectives.info_nce import InfoNCEState
from agents.training.blueprint import Arm
from agents.training.state import AgentState, StateTypes
from protocols.errors import RecordError

CPU = torch.device("cpu")


@dataclass
class OddState(ExchangeState):
    """State with fields of every kind that a file can hold."""

    banks: Any = None
    subtree: Any = None
    ids: Any = None
    odd: Any = None


TYPES = StateTypes((OddState,), (InfoNCEState,))


def example() -> AgentState:
    buffer = torch.arange(6.0)
    return AgentState(
        parameters=buffer,
        optimizer=[{"step": torch.tensor(3.0), "exp_avg": buffer[:2]}, {}],
        step=3,
        exchange=[
            OddState(
                banks={4: buffer[2:].view(2, 2).T, 0: torch.zeros(0, 3)},
                subtree=(2, torch.ones(2, dtype=torch.bfloat16), 1.5),
                ids=np.array([[1, 2], [3, 4]], dtype=np.int64)[:, ::-1],
                odd=[None, True, 0.1, math.inf, "text", ()],
            )
        ],
        objectives=[InfoNCEState(queue=torch.ones(1, 2))],
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
    return same(vars(left), vars(right)) if is_dataclass(left) else left == right


def test_state_comes_back_with_its_types_keys_and_bits(tmp_path):
    state = example()
    digest = save_state(state, tmp_path / "state")
    assert same(load_state(tmp_path / "state", TYPES, CPU, digest), state)
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
        agent.state = load_state(paths[id], agent.state_types, CPU, digests[id])
    actual = other.train(2)
    for id in expected:
        assert actual[id]["loss"] == expected[id]["loss"]
        assert torch.equal(other.agents[id].parameters, host.agents[id].parameters)
        assert same(other.agents[id].state, host.agents[id].state)


def test_strange_values_are_refused_before_anything_is_written(tmp_path):
    state = AgentState(torch.zeros(1), [], exchange=[OddState(odd=len)])
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
        load_state(path, TYPES, CPU, digest if checked else None)


def test_state_of_another_exchange_is_refused_unless_it_is_dropped(tmp_path):
    path = tmp_path / "agent-3.safetensors"
    save_state(example(), path)
    other = StateTypes((AnchorContrastState,), (InfoNCEState,))
    with pytest.raises(RecordError, match="OddState, and this run keeps AnchorContrastState"):
        load_state(path, other, CPU)
    with pytest.raises(RecordError, match="states of 1 parts, and this run has 2"):
        load_state(path, StateTypes((OddState, OddState), (InfoNCEState,)), CPU)
    state = load_state(path, other, CPU, afresh=True)
    assert state.exchange == []
    assert torch.equal(state.objectives[0].queue, torch.ones(1, 2))


def test_state_with_other_fields_is_refused(tmp_path):
    path = tmp_path / "agent-3.safetensors"
    tree = example().to_tree()
    name, fields = tree["objectives"][0]
    for changed in ({**fields, "__class__": "x"}, {}, [1]):
        save_tree({**tree, "objectives": [(name, changed)]}, path)
        with pytest.raises(RecordError, match="does not have the fields identical"):
            load_state(path, TYPES, CPU)


def test_component_that_declares_no_state_says_which_class_to_set():
    with pytest.raises(TypeError, match=r"set `state_type` .* to InfoNCEState"):
        InfoNCEState.narrow(ObjectiveState())
