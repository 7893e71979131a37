"""Alarms of a run, in sentences: faults, pauses, rejected messages and restarts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from agentos.data.printable_text import printable

KEPT = 100
"""Alarms of each source that are kept, the latest ones."""
_NAMED = 3
"""Agents that an alarm names; more are counted."""


class Alarms:
    """The latest alarms of a run, and how many there were."""

    def __init__(self) -> None:
        self._by_source: dict[str, deque[dict[str, Any]]] = {}
        self._counts: dict[str, int] = {}
        self._paused: frozenset[str] = frozenset()

    def forget(self, source: str) -> None:
        """Forget the alarms of a source whose records begin again."""
        self._by_source.pop(source, None)
        self._counts.pop(source, None)
        if source == "health":
            self._paused = frozenset()

    def health(self, line: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Take in a line of ``health.jsonl``: an agent is an alarm in the round in which its pause begins."""
        paused = line["paused"]
        for agent in sorted(paused.keys() - self._paused):
            why = str(paused[agent])
            self._add("health", line, f"{names.get(agent, agent)}: exchange paused, {why}")
        for agent in sorted(self._paused - paused.keys()):
            self._add("health", line, f"{names.get(agent, agent)}: exchange goes on", tone="good")
        self._paused = frozenset(paused)

    def faults(self, line: Mapping[str, Any]) -> None:
        """Take in a line of ``faults.jsonl``."""
        struck = ", ".join(f"{name} {count:,}" for name, count in line["struck"].items())
        self._add("faults", line, f"faults struck: {struck}")

    def restart(self, line: Mapping[str, Any]) -> None:
        """Take in a line of ``restarts.jsonl``."""
        why, back = line["why"], line.get("back_to")
        self._add("restarts", line, f"hosts were replaced: {why}; back to round {back}")

    def diverged(self, arm: str, round: int, names: Sequence[str]) -> None:
        """Take in agents whose numbers were not finite in a round."""
        self._add(arm, {"round": round}, f"{_listed(names)}: numbers that are not finite")

    def rejected(self, arm: str, round: int, messages: int, names: Sequence[str]) -> None:
        """Take in the messages that agents rejected in a round."""
        text = f"{messages:,} message{'s' * (messages != 1)} rejected by {_listed(names)}"
        self._add(arm, {"round": round}, text)

    def as_json(self) -> dict[str, Any]:
        """Return the number of all alarms, and the latest, the latest first."""
        kept = [alarm for source in self._by_source.values() for alarm in source]
        latest = sorted(kept, key=lambda alarm: alarm["round"], reverse=True)[:KEPT]
        return {"count": sum(self._counts.values()), "latest": latest}

    def _add(self, source: str, line: Mapping[str, Any], text: str, tone: str = "bad") -> None:
        alarms = self._by_source.setdefault(source, deque(maxlen=KEPT))
        alarms.append({"round": line["round"], "text": printable(text)[:300], "tone": tone})
        self._counts[source] = self._counts.get(source, 0) + (tone == "bad")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"
