"""Final states of the agents of an arm: compared with each other, asked jointly, and saved as encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.joint.joint_plan import Asked, JointPlan, Voted
from agentos.records.agent_similarity import SimilarityRecorder
from agentos.records.reports import AgentMetrics
from agentos.rounds.base import by_host
from agentos.runtime import Session
from agentos.runtime.host_calls import ClassifyTexts, EmbedTexts, Explain, Probe, SaveEncoders


def compare_agents(session: Session, recorder: SimilarityRecorder, arm: str) -> None:
    """Record how similarly the agents of an arm embed the recorder's sample.

    Raises:
        RecordError: the run folder cannot be written to.
    """
    texts, agents = recorder.sample.texts, recorder.sample.agents
    grouped = {
        h: tuple(ids) for h, ids in by_host(session.placement, dict.fromkeys(agents)).items()
    }
    found = session.ask({host: EmbedTexts(texts, ids) for host, ids in grouped.items()})
    explained = session.ask({host: Explain(ids) for host, ids in grouped.items()})
    recorder.record(arm, found, explained)


@dataclass(frozen=True)
class AskedSociety:
    """The agents of a session, which embed and classify texts for others."""

    session: Session

    def embed(self, texts: Sequence[str], agents: Sequence[int]) -> Asked:
        """Let agents embed texts; return the tokens that each read, too."""
        calls = {host: Probe(texts, _tokens, ids, ids) for host, ids in self._asked(agents)}
        answers = self.session.ask(calls)
        return {
            agent: (rows, tokens) for agent, (tokens, rows) in answers.items() if rows is not None
        }

    def classify(self, texts: Sequence[str], agents: Sequence[int]) -> Voted:
        """Let agents classify texts with their own classifiers; return the tokens that each read, too."""
        calls = {host: ClassifyTexts(texts, ids) for host, ids in self._asked(agents)}
        return self.session.ask(calls)

    def _asked(self, agents: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        for host, mine in by_host(self.session.placement, dict.fromkeys(agents)).items():
            if mine:
                yield host, list(mine)


def add_joint(
    session: Session, joint: JointPlan, metrics: AgentMetrics, evaluation: AgentMetrics
) -> None:
    """Add the evaluation of joint embeddings to that of the last round, and its cost to the metrics."""
    for agent, (found, cost) in joint.evaluate(AskedSociety(session), evaluation).items():
        evaluation[agent] = {**evaluation[agent], **found}
        metrics[agent] = {**metrics.get(agent, {}), **found, **cost}


def _tokens(rows_NW: NDArray[np.float32], tokens: int) -> int:
    """Return the number of tokens that the embedded texts have."""
    return tokens


def save_encoders(session: Session, agents: Sequence[int], folder: Path) -> None:
    """Save the encoders of some agents as Hugging Face folders, one in each ``agent-N``.

    Raises:
        RecordError: the folder cannot be written to.
    """
    folders = {agent: folder / f"agent-{agent}" for agent in agents}
    grouped = by_host(session.placement, folders)
    session.call({host: SaveEncoders(mine) for host, mine in grouped.items()})
