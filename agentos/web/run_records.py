"""The records of a run that grow with it, read from where the last reading ended, and summed up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentos.data.printable_text import printable
from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_config import is_joint
from agentos.records.layout import (
    ARMS,
    EVALUATION,
    FAULTS,
    HEALTH,
    METRICS,
    NETWORK,
    RESTARTS,
    TOGETHER,
    agent_name,
    agent_number,
)
from agentos.records.reader import read_meanings, read_network
from agentos.records.views.run_view import LOSS, unique
from agentos.records.views.tail import Tail
from agentos.web.alarms import Alarms
from agentos.web.latest_round import LatestRound
from agentos.web.running_curves import Curves

SHOWN_METRICS = 8
"""Most metrics that have a curve, besides the loss."""
_LINES = 20_000
"""Lines of a file after which the rest waits for the next reading."""


class RunRecords:
    """Curves, the latest round and alarms of a run.

    Args:
        directory: the run folder; it holds the network.

    Attributes:
        names: of the agents, each once.
        main: name of the metric by which agents are judged; None if nothing is evaluated.
        metrics: the metrics that have a curve, as the page shows them.
        latest: the latest round of each arm.

    Raises:
        RecordError: network or metrics are damaged.
    """

    def __init__(self, directory: Path) -> None:
        network, names = read_network(directory / NETWORK)
        every = read_meanings(directory / EVALUATION).values()
        shown = [each for each in every if not (each.minor or is_joint(each))][:SHOWN_METRICS]
        self.directory = directory
        self.names = unique([printable(name)[:80] for name in names])
        self.main = shown[0].name if shown else None
        self.metrics = [_as_json(metric) for metric in (LOSS, *shown)]
        self.curves = Curves([LOSS.name, *(metric.name for metric in shown)], network.agents)
        self.latest = {arm: LatestRound(network.agents) for arm in ARMS}
        self.alarms = Alarms()
        self._tails: dict[str, Tail] = {}
        self._begun: dict[str, int] = {}
        self._by_name = {agent_name(agent): name for agent, name in enumerate(self.names)}

    def read(self) -> None:
        """Read what is new."""
        for arm in ARMS:
            self._read_metrics(arm)
        for source, file in (("health", HEALTH), ("faults", FAULTS), ("restarts", RESTARTS)):
            lines, again = self._lines(file)
            if again:
                self.alarms.forget(source)
            for line in lines:
                if source == "health":
                    self.alarms.health(line, self._by_name)
                elif source == "faults":
                    self.alarms.faults(line)
                else:
                    self.alarms.restart(line)

    def _read_metrics(self, arm: str) -> None:
        rows, again = self._lines(METRICS if arm == TOGETHER else f"{arm}/{METRICS}")
        if again:
            self.curves.forget(arm)
            self.latest[arm] = LatestRound(len(self.names))
            self.alarms.forget(arm)
        for row in rows:
            agent = agent_number(str(row.get("agent")))
            if agent is None or agent >= len(self.names):
                continue
            self.curves.add(arm, row, agent)
            if closed := self.latest[arm].add(row, agent):
                self._sound(arm, *closed)

    def _sound(self, arm: str, round: int, diverged: list[int], rejected: dict[int, int]) -> None:
        """Raise the alarms of a round that is over."""
        if diverged:
            self.alarms.diverged(arm, round, [self.names[agent] for agent in diverged])
        if rejected:
            names = [self.names[agent] for agent in rejected]
            self.alarms.rejected(arm, round, sum(rejected.values()), names)

    def _lines(self, name: str) -> tuple[list[dict[str, Any]], bool]:
        """Return the new lines of a file of JSON objects with a round, and whether it began again."""
        tail = self._tails.setdefault(name, Tail(self.directory / name))
        lines: list[dict[str, Any]] = []
        again = False
        while len(lines) < _LINES and (more := tail.lines()):
            if self._begun.setdefault(name, tail.beginnings) != tail.beginnings:
                self._begun[name], again, lines = tail.beginnings, True, []
            lines.extend(row for line in more if (row := _row(line)) is not None)
        return lines, again


def _row(line: str) -> dict[str, Any] | None:
    """Return an object with a round; None for anything else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("round")) is int else None


def _as_json(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": printable(metric.title)[:80],
        "percent": metric.percent,
        "higher": metric.higher_is_better,
        "help": printable(metric.help)[:300],
    }
