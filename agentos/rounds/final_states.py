"""Final states of the agents of an arm: compared with each other, and saved as encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentos.records.agent_similarity import SimilarityRecorder
from agentos.records.reports import by_agent
from agentos.rounds.base import by_host
from agentos.runtime import Session
from agentos.runtime.host_calls import EmbedTexts, Explain, SaveEncoders


def compare_agents(session: Session, recorder: SimilarityRecorder, arm: str) -> None:
    """Record how similarly the agents of an arm embed the recorder's sample.

    Raises:
        RecordError: the run folder cannot be written to.
    """
    texts, agents = recorder.sample.texts, recorder.sample.agents
    grouped = {
        h: tuple(ids) for h, ids in by_host(session.placement, dict.fromkeys(agents)).items()
    }
    found = session.call({host: EmbedTexts(texts, ids) for host, ids in grouped.items()})
    explained = session.call({host: Explain(ids) for host, ids in grouped.items()})
    recorder.record(arm, by_agent(found), by_agent(explained))


def save_encoders(session: Session, agents: Sequence[int], folder: Path) -> None:
    """Save the encoders of some agents as Hugging Face folders, one in each ``agent-N``.

    Raises:
        RecordError: the folder cannot be written to.
    """
    folders = {agent: folder / f"agent-{agent}" for agent in agents}
    grouped = by_host(session.placement, folders)
    session.call({host: SaveEncoders(mine) for host, mine in grouped.items()})
