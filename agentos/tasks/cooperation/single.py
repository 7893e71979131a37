"""One agent answers alone."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.tasks.cooperation.base import Architecture
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel
from agents.answering import Answers
from protocols.errors import HostLost


@dataclass(frozen=True)
class Single(Architecture):
    """The agent that was most accurate out of fold answers everything.

    Attributes:
        agent: its place on the panel.
    """

    agent: int = 0

    def asked_first(self, panel: Panel) -> tuple[int, ...]:
        """Return the agent."""
        return (self.agent,)

    def converse(self, talk: Conversation) -> Answers:
        """Ask the agent."""
        answers = talk.ask(self.agent, talk.queries.ids, {})
        if answers is None:
            raise HostLost(
                f"agent {self.agent}, which works alone, is gone",
                hint="let a society answer: set topology.kind to master_slave, layered or a peer kind",
            )
        return answers
