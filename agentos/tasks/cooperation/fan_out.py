"""A master announces the task, gives the queries to all who are good enough, and fuses their answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentos.tasks.cooperation.base import Architecture, Evidence
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel
from agents.answering import Answers, FittedFusion, fit_fusion
from agents.answering.answers import Labels
from protocols.errors import HostLost
from protocols.messages import Announcement, Assignment, Bid

MASTER = 0
"""The most accurate agent of the panel: the first."""


@dataclass(frozen=True)
class MasterSlave(Architecture):
    """Fan-out: announcement, bids, assignments, answers; the master answers, too, and fuses.

    Attributes:
        fusion: fitted to every agent.
        floor: accuracy below which an agent gets no query.
    """

    fusion: FittedFusion
    floor: float = 0.0

    @classmethod
    def fitted(cls, evidence: Evidence, floor: float = 0.0) -> MasterSlave:
        """Fit the fusion to the out-of-fold answers of all agents."""
        return cls(fit_fusion(evidence.fusion, evidence.fit, evidence.fit_labels), floor)

    def asked_first(self, panel: Panel) -> tuple[int, ...]:
        """Return the master, and the slaves that are good enough."""
        able = (
            agent for agent, member in enumerate(panel.members) if member.accuracy >= self.floor
        )
        return (MASTER, *(agent for agent in able if agent != MASTER))

    def converse(self, talk: Conversation) -> Answers:
        """Fan out, and fuse what comes back."""
        ids, done = talk.queries.ids, ["announcement"]
        offers = take_bids(talk, MASTER, self.floor)
        talk.begin_hop()
        # The master gives work away before it begins its own.
        given = {agent: self._assign(talk, agent, size) for agent, size in offers.items()}
        found = []
        own = talk.ask(MASTER, ids, {"announcement": 0})
        if own is not None:
            found.append(own)
            done.append(f"answer of {MASTER}")
        for agent, (assigned, size) in given.items():
            answers = None if assigned is None else self._collect(talk, agent, assigned, size)
            if answers is not None:
                found.append(answers)
                done.append(f"arrival from {agent}")
        if not found:
            raise HostLost("no agent is left to answer", hint="see the fault script")
        talk.think(MASTER, "fusion", ids, self.fusion.flops, done)
        return self.fusion.fuse(found)

    def _assign(self, talk: Conversation, agent: int, bid_bytes: int) -> tuple[Labels | None, int]:
        """Give an agent all queries; return those that reached it, and the bytes of the message."""
        ids, deadline = talk.queries.ids, talk.setting.deadline_s
        work = Assignment(
            task=talk.setting.task, attempt=0, ids=ids, start_s=0.0, deadline_s=deadline
        )
        talk.step(f"assignment of {agent}", MASTER, 0.0, {f"bid of {agent}": bid_bytes})
        given, size = talk.send(work, MASTER, agent, ids)
        return (None if given is None else given.ids), size

    def _collect(self, talk: Conversation, agent: int, ids: Labels, size: int) -> Answers | None:
        """Return an agent's answers, as they reached the master."""
        answers = talk.ask(agent, ids, {f"assignment of {agent}": size})
        if answers is None:
            return None
        flops = float(talk.panel.flops(agent, np.full(len(ids), talk.panel.length)).sum())
        arrived, size = talk.send_answers(answers, agent, MASTER, flops)
        talk.step(f"arrival from {agent}", MASTER, 0.0, {f"answer of {agent}": size})
        return arrived


def take_bids(talk: Conversation, master: int, floor: float) -> dict[int, int]:
    """Announce the task to all others; return the agents whose bids are taken, and the bytes of each bid.

    Args:
        talk: the conversation.
        master: agent that announces.
        floor: accuracy below which a bid is not taken.
    """
    panel, ids = talk.panel, talk.queries.ids
    tokens = float(panel.length * len(ids))
    call = Announcement(
        task=talk.setting.task,
        classes=panel.classes,
        queries=len(ids),
        tokens=tokens,
        floor=floor,
    )
    talk.step("announcement", master, 0.0, {})
    sizes, bids = {}, {}
    for agent in range(len(panel)):
        if agent != master:
            heard, sizes[agent] = talk.send(call, master, agent, ids)
            if heard is not None:
                bids[agent] = _bid(talk, agent, tokens)
    talk.begin_hop()
    taken = {}
    for agent, bid in bids.items():
        arrived, size = talk.send(bid, agent, master, ids)
        talk.step(f"bid of {agent}", agent, 0.0, {"announcement": sizes[agent]})
        if arrived is not None and arrived.accuracy >= floor:
            taken[agent] = size
    return taken


def _bid(talk: Conversation, agent: int, tokens: float) -> Bid:
    member, speed = talk.panel.members[agent], talk.setting.timing.speeds[agent]
    flops = tokens * member.card.flops(talk.panel.length)
    return Bid(
        task=talk.setting.task,
        origins=(member.card.origin,),
        accuracy=member.accuracy,
        examples=max(len(member.head.seen), 1),
        ready_s=0.0,
        seconds=flops / speed,
        flops=flops,
    )
