"""The agents in the last round of a run: what each did, lost, sent and received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentos.reporting.statistics import interval
from agentos.web.running_curves import finite

ABSENT, DIVERGED, PAUSED, TRAINED, UNTRAINED = "adptu"
"""States of an agent, one letter each."""

Closed = tuple[int, list[int], dict[int, int]]
"""A round that is over: its number, the agents that diverged, and the messages that agents rejected."""


class LatestRound:
    """The latest line of metrics of each agent in one arm; an evaluation's values stay until the next one.

    Args:
        agents: number of agents.
    """

    def __init__(self, agents: int) -> None:
        self._agents = agents
        self._round = -1
        self._rows: dict[int, Mapping[str, Any]] = {}
        self._values: dict[int, dict[str, float]] = {}

    def add(self, row: Mapping[str, Any], agent: int) -> Closed | None:
        """Add a line; return its round if all agents are through and anything went wrong in it."""
        if row["round"] != self._round:
            self._round, self._rows = row["round"], {}
        self._rows[agent] = row
        kept = self._values.setdefault(agent, {})
        for name, value in row.items():
            if name not in ("round", "agent") and (number := finite(value)) is not None:
                kept[name] = number
        return self._closed() if len(self._rows) == self._agents else None

    def as_json(self, main: str | None) -> dict[str, Any]:
        """Return one list per quantity, agents in order; None where there is no value.

        With them comes the half-width of the 95 % interval of the mean of ``main`` over agents; None for one.

        Args:
            main: name of the metric by which agents are judged.
        """
        agents = range(self._agents)
        lists = {
            "loss": [self._kept(agent, "loss") for agent in agents],
            "main": [self._kept(agent, main or "") for agent in agents],
            "sent": [self._now(agent, "bytes_sent") for agent in agents],
            "received": [self._now(agent, "bytes_received") for agent in agents],
            "rejected": [self._now(agent, "rejected") for agent in agents],
        }
        states = "".join(self._state(agent) for agent in agents)
        return {
            "round": self._round,
            "metric": main,
            "half_width": _half_width([value for value in lists["main"] if value is not None]),
            "state": states,
            **lists,
        }

    def _closed(self) -> Closed | None:
        """Return the round, if anything went wrong in it."""
        diverged = sorted(agent for agent, row in self._rows.items() if row.get("diverged"))
        rejected = {
            agent: int(count)
            for agent, row in self._rows.items()
            if (count := finite(row.get("rejected")))
        }
        return (self._round, diverged, rejected) if diverged or rejected else None

    def _state(self, agent: int) -> str:
        row = self._rows.get(agent, {})
        if row.get("absent"):
            return ABSENT
        if row.get("diverged"):
            return DIVERGED
        if row.get("paused"):
            return PAUSED
        return TRAINED if "loss" in row else UNTRAINED

    def _kept(self, agent: int, name: str) -> float | None:
        value = self._values.get(agent, {}).get(name)
        return None if value is None else float(f"{value:.5g}")

    def _now(self, agent: int, name: str) -> float | None:
        return finite(self._rows.get(agent, {}).get(name))


def _half_width(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(f"{interval(values).half_width:.5g}")
