"""The fault panel of a report: injected faults, the policy's reactions, and lost hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

REACTIONS = {
    "late": "arrived in a later round",
    "past_deadline": "missed the deadline",
    "retried": "sent again",
    "below_quorum": "agents below the quorum",
}
"""Counts that are not kinds of faults, but their consequences under the policy."""

FaultRow = dict[str, Any]


def fault_rows(faults: Mapping[str, Mapping[int, int]]) -> list[FaultRow]:
    """Return how often each kind of fault struck, and its consequences: in all, and in which rounds."""
    return [
        {
            "name": REACTIONS.get(name, name),
            "count": f"{sum(faults[name].values()):,}",
            "rounds": _span(sorted(faults[name])),
        }
        for name in sorted(faults, key=lambda name: (name in REACTIONS, name))
    ]


def restart_rows(restarts: Iterable[Mapping[str, Any]]) -> list[FaultRow]:
    """Return each restart from a checkpoint after hosts were lost."""
    return [
        {
            "arm": line.get("arm", ""),
            "round": line["round"],
            "back_to": line.get("back_to", 0),
            "why": line["why"],
        }
        for line in restarts
    ]


def rejected_rows(
    rejected: Mapping[int, Sequence[tuple[int, int]]], names: Sequence[str]
) -> list[FaultRow]:
    """Return the receivers that rejected messages: how many, and the first round."""
    return [
        {
            "name": names[agent],
            "count": f"{sum(count for _, count in found):,}",
            "first": str(min(round for round, _ in found)),
        }
        for agent, found in rejected.items()
    ]


def _span(rounds: list[int]) -> str:
    """Write rounds as spans.

    Example:
        >>> _span([1, 2, 3, 7])
        '1-3, 7'
    """
    spans: list[list[int]] = []
    for round in rounds:
        if spans and round == spans[-1][1] + 1:
            spans[-1][1] = round
        else:
            spans.append([round, round])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
