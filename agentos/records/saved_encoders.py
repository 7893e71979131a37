"""Finding the encoders that a run has saved."""

from __future__ import annotations

from pathlib import Path

from agentos.records.reader import CONFIG
from agentos.records.recorder import ENCODERS
from agents.models.adapters import ADAPTER_CONFIG
from protocols.errors import ConfigurationError


def find_encoder(path: Path, agent: int | None = None) -> Path:
    """Return the folder of one encoder.

    Args:
        path: a run folder, or the folder of an encoder itself.
        agent: whose encoder; default 0. Only in a run folder.

    Raises:
        ConfigurationError: there is no such folder or agent.
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
    found = sorted(
        (path / ENCODERS).glob("agent-*"), key=lambda f: int(f.name.removeprefix("agent-"))
    )
    if not found:
        raise ConfigurationError(
            f"the run in {path} has saved no encoders",
            hint="let it come to its end: encoders are saved then",
        )
    wanted = path / ENCODERS / f"agent-{agent or 0}"
    if wanted not in found:
        raise ConfigurationError(
            f"the run in {path} has no agent {agent}",
            expected=f"one of {', '.join(f.name.removeprefix('agent-') for f in found)}",
            actual=agent,
        )
    return wanted
