"""Societies for benchmarks: hosts, and rounds timed with or without local work."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from agentos.config.run import RunConfig
from agentos.events import Listener
from agentos.preflight.auto_precision import choose_precision
from agentos.records.environment import processor
from agentos.records.reports import RoundReport
from agentos.rounds.base import RoundServices, RoundsPlan
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime.base import Session
from agentos.runtime.host_calls import Answer, Evaluate, HostCall, Train
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.exchange import Exchange
from agents.training.blueprint import Arm

RESULTS = Path(__file__).parents[2] / "results"


@contextmanager
def hosts_of(config: RunConfig) -> Iterator[Session]:
    """Start the hosts of a run, and build their agents with the precision that a run would have."""
    blueprint = blueprint_of(config, prepare_corpus(config, Listener()), Listener())
    with config.runtime.start(blueprint) as session:
        choose_precision(session, blueprint)
        yield session


def timed_rounds(
    config: RunConfig, session: Session, exchange: Exchange | None = None, warm_up: int = 1
) -> list[float]:
    """Run the rounds of a society; return the seconds of each after the warm-up.

    The last round is left out too, since it ends with an evaluation.
    """
    reports: list[RoundReport] = []
    exchange = exchange or config.exchange
    arm = Arm(exchange, exchange.anchor_fraction)
    plan = RoundsPlan("together", arm, config.network(), config.training.rounds, config.evaluation)
    SynchronousCoordinator(plan, session, RoundServices(reports.append)).run()
    return [report.round_s for report in reports[1 + warm_up : -1]]


class Idle(Session):
    """Session whose agents neither train nor are evaluated, so that only the exchange costs time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.placement = session.placement

    def build(self, blueprint: Any) -> None:
        """Build the agents."""
        self._session.build(blueprint)

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        """Forward the calls, unless they are for local work."""
        if not all(isinstance(call, (Train, Evaluate)) for call in calls.values()):
            return self._session.call(calls)
        agents: dict[int, Any] = {host: {} for host in calls}
        for agent, host in self.placement.items():
            agents[host][agent] = {"loss": 0.0}
        return agents

    def close(self) -> None:
        """End the hosts."""
        self._session.close()


def median(seconds: list[float]) -> float:
    """Return the median of some seconds."""
    return statistics.median(seconds)


def publish(name: str, rows: list[str]) -> str:
    """Write a table, and the machine it was measured on, to the committed results; return it."""
    machine = f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}"
    table = "\n".join([*rows, "", f"Measured on {machine}."])
    (RESULTS / f"{name}.md").write_text(table + "\n", encoding="utf-8")
    return table
