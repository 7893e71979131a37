"""Runs that are only pretended: records as a run writes them, without training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agentos.evaluation.base import Metric
from agentos.events.following import followed
from agentos.records.layout import ISOLATED, TOGETHER
from agentos.records.recorder import Recorder
from agentos.records.reports import RoundReport
from protocols.ledger import Ledger
from protocols.topologies import TOPOLOGIES

METRICS = (
    Metric(
        name="accuracy", higher_is_better=True, help="Share.", percent=True, label="Probe accuracy"
    ),
    Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.", label="MRR"),
)


class Pretended:
    """A run in progress: holds the lock of its folder, and finishes a round whenever it is asked to.

    Args:
        directory: the run folder.
        agents, topology, rounds: of the run.
        names: of the agents.
    """

    def __init__(
        self,
        directory: Path,
        agents: int = 6,
        topology: str = "ring",
        rounds: int = 8,
        names: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.rounds = rounds
        self.network = TOPOLOGIES[topology]().build(agents=agents, seed=0)
        self.names = names or tuple(f"library-{agent}" for agent in range(agents))
        self.ledger = Ledger()
        self._topology = topology
        self._stack = ExitStack()
        self._reached = {TOGETHER: -1, ISOLATED: -1}

    def __enter__(self) -> Pretended:
        self.recorder = self._stack.enter_context(Recorder(self.directory))
        self.recorder.claim()
        self.listener = self._stack.enter_context(followed(self.directory, [TOGETHER, ISOLATED]))
        config = (
            f"name: pretended\ntopology: {{kind: {self._topology}}}\nexchange: {{kind: fedavg}}\n"
            f"training: {{rounds: {self.rounds}}}\n"
        )
        self.recorder.start(config, self.network, self.names, METRICS)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def round(self, arm: str = TOGETHER, **changes: dict[int, dict[str, float]]) -> None:
        """Finish a round of an arm; `odd` holds values of some agents to change."""
        round = self._reached[arm] = self._reached[arm] + 1
        metrics = {agent: self._values(agent, round, arm) for agent in range(self.network.agents)}
        for agent, values in changes.get("odd", {}).items():
            metrics[agent] = values
        if round and arm == TOGETHER:
            for a, b in self.network.edges:
                for sender, receiver in ((a, b), (b, a)):
                    size = 1000 + 137 * (sender + receiver)
                    self.ledger.record(round, 0, sender, receiver, "embeddings", size)
        report = RoundReport(arm, round, self.rounds, metrics, {}, 0.5, self.ledger.total())
        self.recorder.on_round(report)
        self.listener.on_traffic(arm, round, self.ledger if arm == TOGETHER else Ledger())
        self.listener.on_round(report)

    def phase(self, phase: str, arm: str = TOGETHER) -> None:
        """Begin a phase of the next round."""
        self.listener.on_phase(arm, self._reached[arm] + 1, phase)

    def end(self, status: str = "finished") -> None:
        """Write ledger and summary."""
        self.recorder.ledger(self.ledger)
        self.recorder.summary({"status": status, "rounds": self._reached[TOGETHER], "mean": {}})

    def _values(self, agent: int, round: int, arm: str) -> dict[str, float]:
        learnt = 1 - math.exp(-round / (4 if arm == TOGETHER else 7))
        values = {
            "accuracy": 0.2 + 0.5 * learnt + 0.02 * math.sin(agent + round),
            "mrr": 0.1 + 0.4 * learnt + 0.01 * math.cos(3 * agent),
        }
        if round:
            values |= {"loss": 4.2 - 2.4 * learnt + 0.1 * math.sin(2 * agent)}
            sent = 0.0 if arm != TOGETHER else 4000.0
            values |= {"bytes_sent": sent, "bytes_received": sent, "rejected": 0.0}
        return values


@pytest.fixture
def pretend(tmp_path: Path) -> Iterator[Callable[..., Pretended]]:
    """Begin pretended runs in ``runs/``; those that still run at the end are ended."""
    with ExitStack() as stack:

        def begin(name: str = "run", **fields: Any) -> Pretended:
            return stack.enter_context(Pretended(tmp_path / "runs" / name, **fields))

        yield begin
