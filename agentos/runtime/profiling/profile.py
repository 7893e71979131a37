"""Profile of a run: the work of every host and of the coordinator over time.

A profile stands between the coordinator and the hosts: it passes every call on, and takes the times from the
answers. A run without one does none of this.

Clocks: every process reads a clock that never goes back. The processes of one machine share it. The clock of
another machine is shifted by a constant, which is estimated: a host cannot begin a call before it was made,
nor end it after it was answered, so every call bounds the shift from both sides. A few empty calls at the
start, one host at a time, make the bounds narrow; the shift is taken from their middle.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentos.events import Listener
from agentos.records.reports import RoundReport
from agentos.runtime.base import Session
from agentos.runtime.host_calls import Answer, HostCall, NameMachine, Trace
from agents.hosting.tracing import Span, Traced
from agents.training.blueprint import Blueprint

CallClass = type[HostCall[Any]]

DETAILS = 200_000
"""Spans of single agents that a profile keeps; beyond, those of hosts alone."""
_PINGS = 5


@dataclass
class Clock:
    """Bounds on how far a host's clock is ahead of the coordinator's, in seconds."""

    machine: str
    least_s: float = -math.inf
    most_s: float = math.inf

    def learn(self, called_s: float, began_s: float, ended_s: float, answered_s: float) -> None:
        """Learn from a call: made and answered on the coordinator's clock, begun and ended on the host's.

        Example:
            >>> clock = Clock("elsewhere")
            >>> clock.learn(called_s=5.0, began_s=105.25, ended_s=106.0, answered_s=6.5)
            >>> clock.least_s, clock.most_s, clock.ahead_s
            (99.5, 100.25, 99.875)
        """
        self.least_s = max(self.least_s, ended_s - answered_s)
        self.most_s = min(self.most_s, began_s - called_s)

    @property
    def is_shared(self) -> bool:
        """Return whether the host is on the coordinator's machine."""
        return self.machine == socket.gethostname()

    @property
    def ahead_s(self) -> float:
        """The lead of the host's clock; 0 on the coordinator's machine."""
        known = math.isfinite(self.least_s) and math.isfinite(self.most_s)
        return 0.0 if self.is_shared or not known else (self.least_s + self.most_s) / 2

    @property
    def error_s(self) -> float:
        """Largest error of that lead."""
        return 0.0 if self.is_shared else max(0.0, (self.most_s - self.least_s) / 2)


@dataclass
class Profile(Listener):
    """The times of a run, in seconds of the coordinator's clock unless said otherwise.

    Attributes:
        calls: (class, made, answered) of each call that the coordinator made.
        worked: (host, class, begun, ended) of each call that a host answered, on the host's clock.
        spans: of work in these calls, by host, on its clock.
        marks: (event, when) of the run as a whole.
    """

    began_s: float = field(default_factory=time.monotonic)
    calls: list[tuple[CallClass, float, float]] = field(default_factory=list)
    worked: list[tuple[int, CallClass, float, float]] = field(default_factory=list)
    spans: list[tuple[int, Span]] = field(default_factory=list)
    marks: list[tuple[str, float]] = field(default_factory=list)
    clocks: dict[int, Clock] = field(default_factory=dict)
    left_out: int = 0

    def on_stage(self, what: str) -> None:
        """Mark the beginning of a stage."""
        self.marks.append((what, time.monotonic()))

    def on_round(self, report: RoundReport) -> None:
        """Mark the end of a round."""
        self.marks.append((f"{report.arm}, round {report.round} done", time.monotonic()))

    def add(
        self,
        call: CallClass,
        called_s: float,
        answered_s: float,
        answers: Mapping[int, Traced[Any]],
    ) -> None:
        """Record calls of a class, and the times in the hosts' answers."""
        self.calls.append((call, called_s, answered_s))
        for host, traced in answers.items():
            clock = self.clocks.setdefault(host, Clock("another"))
            clock.learn(called_s, traced.began_s, traced.ended_s, answered_s)
            self.worked.append((host, call, traced.began_s, traced.ended_s))
            for span in traced.spans:
                if span.agent is None or len(self.spans) < DETAILS:
                    self.spans.append((host, span))
                else:
                    self.left_out += 1


class ProfiledSession(Session):
    """Hosts that are up, with a profile of their calls.

    Args:
        session: of the hosts.
        profile: of the run.
    """

    def __init__(self, session: Session, profile: Profile) -> None:
        self._session = session
        self._profile = profile

    @property
    def placement(self) -> Mapping[int, int]:  # type: ignore[override]
        """Host of each agent."""
        return self._session.placement

    def build(self, blueprint: Blueprint) -> None:
        """Place the agents of a blueprint; see `Session.build`."""
        self._session.build(blueprint)

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        """Run calls, and record when; see `Session.call`."""
        if not self._profile.clocks:
            self._compare_clocks()
        traces = {host: Trace(call) for host, call in calls.items()}
        called = time.monotonic()
        answers = self._session.call(traces)
        if calls:
            self._profile.add(type(next(iter(calls.values()))), called, time.monotonic(), answers)
        return {host: traced.answer for host, traced in answers.items()}

    def kill(self, host: int) -> None:
        """End a host; see `Session.kill`."""
        self._session.kill(host)

    def revive(self) -> tuple[int, ...]:
        """Replace lost hosts; see `Session.revive`. Their clocks are those of the machines they are on."""
        lost = self._session.revive()
        if lost:
            self._compare_clocks()
        return lost

    def close(self) -> None:
        """End the session; see `Session.close`."""
        self._session.close()

    def _compare_clocks(self) -> None:
        clocks = self._profile.clocks
        for host, machine in self._session.call_all(NameMachine()).items():
            clocks[host] = Clock(machine)
        for host in self.hosts * _PINGS:
            called = time.monotonic()
            traced = self._session.call({host: Trace(NameMachine())})[host]
            clocks[host].learn(called, traced.began_s, traced.ended_s, time.monotonic())
