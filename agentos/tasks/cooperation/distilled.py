"""One agent answers with what it has learnt from a society."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentos.tasks.cooperation.base import Architecture, Outcome
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel, Queries
from agentos.tasks.cooperation.setting import Setting
from agentos.tasks.cooperation.single import Single
from agents.answering import Answers, Head


@dataclass(frozen=True)
class Distilled(Architecture):
    """An agent alone, with a head that was fitted to a society's answers.

    Attributes:
        head: the head.
        agent: its place on the panel.
    """

    head: Head
    agent: int = 0

    def answer(self, panel: Panel, queries: Queries, setting: Setting) -> Outcome:
        """Answer queries with the agent's other head; see `Architecture.answer`."""
        members = list(panel.members)
        members[self.agent] = replace(members[self.agent], head=self.head)
        return super().answer(replace(panel, members=tuple(members)), queries, setting)

    def converse(self, talk: Conversation) -> Answers:
        """Ask the agent."""
        return Single(self.agent).converse(talk)
