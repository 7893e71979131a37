"""States of a host's agents in a folder: one file for each, which must fit the agent that takes it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from agents.hosting.agent_pool import AgentPool
from agents.hosting.state_file import load_state, save_state, state_file
from agents.training.agent import Agent
from agents.training.state import AgentState
from protocols.errors import RecordError


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turn errors of the operating system into an error that names the folder."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise RecordError(
            f"agents cannot be written to {directory}",
            expected="a folder with room, that this user may write to, on every host",
            actual=getattr(error, "strerror", None) or str(error),
            hint="make room; then continue with 'agentos resume'",
        ) from error


def save_all(agents: AgentPool, directory: Path) -> dict[int, str]:
    """Write every agent's state into a folder; return the SHA-256 of each file.

    Raises:
        RecordError: the folder cannot be written to.
    """
    with writing(directory):
        return {
            id: save_state(agent.state, directory / state_file(id))
            for id, agent in agents.each(agents.order(), agents.begun)
        }


def restore_all(
    agents: AgentPool,
    directory: Path,
    digests: Mapping[int, str],
    device: torch.device,
    afresh: bool,
) -> None:
    """Restore every agent to a state in a folder; with `afresh`, its exchange state is dropped.

    Raises:
        RecordError: a file is missing or damaged, or belongs to another encoder.
    """
    for id in agents:
        path, agent = directory / state_file(id), agents[id]
        state = load_state(path, agent.state_types, device, digests.get(id), afresh)
        _require_fit(state, agent, path)
        agent.state = state
        if afresh:
            agent.begin_exchange()


def _require_fit(state: AgentState, agent: Agent, path: Path) -> None:
    """Refuse the state of another encoder, or of other heads."""
    if len(state.parameters) != len(agent.parameters):
        raise RecordError(
            f"the checkpoint {path} is of another encoder",
            expected=f"{len(agent.parameters):,} trained parameters",
            actual=f"{len(state.parameters):,}",
            hint="keep agents and exchange heads as they were, or begin a new run",
        )
    if state.buffers.keys() != agent.resident.buffers.names:
        raise RecordError(
            f"the checkpoint {path} lacks buffers of the encoder's heads, or has others",
            expected=", ".join(sorted(agent.resident.buffers.names)) or "no buffers",
            actual=", ".join(sorted(state.buffers)) or "no buffers",
            hint="keep objectives and their heads as they were, or begin a new run",
        )
