"""The traffic of one piece of work: its messages, what they cost, and what goes wrong.

Every payload is encoded, counted in the ledger, decoded and checked at its receiver. The steps of the work
are kept as a graph, from which simulated time follows.

Legend: Q queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agentos.rounds.faults.base import FaultContext, Transmission
from agentos.tasks.cooperation.setting import Setting
from agentos.tasks.scheduling.execution import execute
from agentos.tasks.scheduling.placements import Placement, Schedule
from agentos.tasks.scheduling.workload import Subtask, workload_of
from agents.answering.answers import Labels
from protocols.errors import RejectedMessage
from protocols.ledger import Ledger
from protocols.messages import Message, Payload
from protocols.wire.serialize import encode
from protocols.wire.validate import Expectation, admit

Sent = TypeVar("Sent", bound=Payload)
Shapes = Mapping[str, tuple[int | None, ...]]


@dataclass
class Traffic:
    """The messages and steps of one piece of work.

    Attributes:
        ids: `[Q]`, the queries that it is about.
        setting: where the agents work.
        ledger: every delivery.
        flops, payload_bytes: `[Q]`, spent on each query.
        lost: what went wrong, in words.
    """

    ids: Labels
    setting: Setting
    ledger: Ledger = field(default_factory=Ledger)
    flops: NDArray[np.float64] = field(init=False)
    payload_bytes: NDArray[np.float64] = field(init=False)
    lost: list[str] = field(default_factory=list)
    _steps: dict[str, Subtask] = field(default_factory=dict)
    _clocked_s: float | None = None
    _round: int = 1
    _hop: int = 0

    def __post_init__(self) -> None:
        self.flops, self.payload_bytes = np.zeros(len(self.ids)), np.zeros(len(self.ids))

    def begin_hop(self) -> None:
        """Begin the next hop: messages from here on carry its number."""
        self._hop += 1

    def begin_try(self, number: int, hop: int) -> None:
        """Begin a hop of a numbered try at the work, from 1: faults of this round of the script strike."""
        self._round, self._hop = number, hop

    def think(self, agent: int, name: str, ids: Labels, flops: float, after: Sequence[str]) -> None:
        """Count a step of little work that no message leads to, of so many FLOPs a query."""
        self.flops[self.rows(ids)] += flops
        self.step(name, agent, flops * len(ids), dict.fromkeys(after, 0))

    def step(self, name: str, agent: int, flops: float, after: Mapping[str, int]) -> None:
        """Add a step to the graph of the work; steps that never came to pass are not waited for."""
        known = {source: size for source, size in after.items() if source in self._steps}
        self._steps[name] = Subtask(name=name, work=flops, after=known, agents=(agent,))

    def send(
        self, payload: Sent, sender: int, receiver: int, ids: Labels, columns: int | None = None
    ) -> tuple[Sent | None, int]:
        """Send a payload, along the shortest path where there is no edge.

        Args:
            payload: what is sent.
            sender: the sending agent.
            receiver: the receiving agent.
            ids: the queries that it is about, which share its bytes.
            columns: of answers; None for one for each class.

        Returns:
            The payload that its receiver admitted, None if it was lost or rejected; and its bytes.
        """
        path = nx.shortest_path(self.setting.network.graph, sender, receiver)
        arrived: Sent | None = payload
        size = 0
        for near, far in pairwise(path):
            if arrived is None:
                break
            arrived, size = self._over_edge(arrived, near, far, columns)
            self.payload_bytes[self.rows(ids)] += size / max(len(ids), 1)
        return arrived, size

    def rows(self, ids: Labels) -> Labels:
        """Return the rows of some queries."""
        order = np.argsort(self.ids, kind="stable")
        return order[np.searchsorted(self.ids, ids, sorter=order)]

    def took(self, seconds: float) -> None:
        """Take the simulated seconds of the work from a clock."""
        self._clocked_s = seconds

    @property
    def makespan_s(self) -> float:
        """Simulated seconds from the first step to the end of the last, unless a clock has told them."""
        if self._clocked_s is not None:
            return self._clocked_s
        if not self._steps:
            return 0.0
        workload = workload_of(list(self._steps.values()), self.setting.timing)
        agents = [subtask.agents[0] for subtask in self._steps.values() if subtask.agents]
        order = Schedule(
            tuple(Placement(float(i), float(i), agent) for i, agent in enumerate(agents))
        )
        return execute(workload, order).makespan_s

    def _over_edge(
        self, payload: Sent, sender: int, receiver: int, columns: int | None
    ) -> tuple[Sent | None, int]:
        sent = self._altered(payload, sender)
        message = Message.compose(sent, sender=sender, round=self._round, hop=self._hop)
        data = encode(message)
        for arrival in self._transmitted(message, sender, receiver):
            self.ledger.record(self._round, self._hop, sender, receiver, payload.kind, len(data))
            late = arrival.arrival_s > self.setting.deadline_s or arrival.rounds_late
            if arrival.lost or late:
                what = "lost" if arrival.lost else "too late"
                self.lost.append(f"{payload.kind} of agent {sender} to {receiver} was {what}")
                continue
            for damage in arrival.damage:
                data = damage(data)
            try:
                found = admit(data, self._expectation(sent, sender, columns)).payload
            except RejectedMessage as error:
                self.lost.append(f"{payload.kind} of agent {sender} was rejected: {error.reason}")
                continue
            return found, len(data)  # type: ignore[return-value]  # the expectation names the class
        return None, len(data)

    def _expectation(self, payload: Payload, sender: int, columns: int | None) -> Expectation:
        has_ids = "ids" in payload.array_fields
        return Expectation(
            self._round,
            self._hop,
            frozenset({sender}),
            type(payload),
            self.shapes(payload, columns),
            task=self.setting.task,
            queries=frozenset(self.ids.tolist()) if has_ids else None,
        )

    def shapes(self, payload: Payload, columns: int | None) -> Shapes:
        """Return the sizes that a receiver requires of a payload's arrays; none by default."""
        return {}

    def _altered(self, payload: Sent, sender: int) -> Sent:
        for number, fault in enumerate(self.setting.faults):
            if fault.is_on(self._round) and fault.alters(type(payload)):
                change = fault.alteration(sender, self._context(number))
                payload = payload if change is None else change(payload)  # type: ignore[assignment]
        return payload

    def _transmitted(self, message: Message, sender: int, receiver: int) -> list[Transmission]:
        flights = [Transmission(sender, receiver, (0, 0), message.payload.kind)]
        for number, fault in enumerate(self.setting.faults):
            if fault.is_on(self._round):
                context = self._context(number)
                flights = [each for flight in flights for each in fault.transmit(flight, context)]
        return flights

    def victims(self) -> frozenset[int]:
        """Return the agents that are away in this round of the script, or whose hosts die in it."""
        dead = set[int]()
        for number, fault in enumerate(self.setting.faults):
            if fault.is_on(self._round):
                dead |= fault.absent(self._context(number), self.setting.network.agents)
                phases = ("train", "compose", "merge", "evaluate")
                dead |= {v for v in map(fault.victim, phases) if v is not None}
        return frozenset(dead)

    def _context(self, number: int) -> FaultContext:
        return FaultContext(self.setting.seed, number, self._round, self._hop)
