"""The encoders that a run has saved."""

from __future__ import annotations

from pathlib import Path

from agentos.records.atomic_files import require_inside
from agentos.records.layout import CONFIG, ENCODERS, agent_name, agent_number
from agents.config import ADAPTER_CONFIG
from protocols.errors import ConfigurationError


def find_encoder(path: Path, agent: int | None = None) -> Path:
    """Return the folder of one encoder.

    Args:
        path: a run folder, or the folder of an encoder itself.
        agent: number of the agent, if the path is a run folder; default 0.

    Raises:
        ConfigurationError: there is no such folder or agent.
        RecordError: the run folder holds a link that leads out of it.
    """
    if not (path / CONFIG).is_file():
        if not any((path / name).is_file() for name in ("config.json", ADAPTER_CONFIG)):
            raise ConfigurationError(
                f"{path} is neither a run folder nor an encoder",
                expected=f"a folder with {CONFIG}, config.json or {ADAPTER_CONFIG}",
                actual="a folder without" if path.is_dir() else "no such folder",
                hint="name a folder that 'agentos run' wrote, or one of its encoders",
            )
        if agent is not None:
            raise ConfigurationError(
                f"{path} is one encoder, not a run with agents",
                hint="leave out --agent, or name the run folder",
            )
        return path
    require_inside(path)
    numbers = (agent_number(folder.name) for folder in (path / ENCODERS).glob("*"))
    found = sorted(number for number in numbers if number is not None)
    if not found:
        raise ConfigurationError(
            f"the run in {path} has saved no encoders",
            hint="let the run finish: it saves its encoders at the end",
        )
    if (agent or 0) not in found:
        raise ConfigurationError(
            f"the run in {path} has saved no encoder of agent {agent or 0}",
            expected=f"one of {', '.join(map(str, found))}",
            actual=agent or 0,
        )
    return path / ENCODERS / agent_name(agent or 0)
