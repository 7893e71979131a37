"""The fault panel of a report: what went wrong on purpose, what the policy did, and what hosts died of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from agentos.records.reader import RunRecord

POLICY = {
    "late": "arrived in a later round",
    "past_deadline": "missed the deadline",
    "retried": "sent again",
    "below_quorum": "agents below the quorum",
}
"""What is counted beside the kinds of faults."""

Row = dict[str, Any]


def fault_rows(record: RunRecord) -> list[Row]:
    """Return how often each kind of fault struck, and what came of it: in all, and in which rounds."""
    rounds: dict[str, dict[int, int]] = defaultdict(dict)
    for line in record.faults:
        for name, count in line["struck"].items():
            rounds[name][line["round"]] = count
    ordered = sorted(rounds, key=lambda name: (name in POLICY, name))
    return [
        {
            "name": POLICY.get(name, name),
            "count": f"{sum(rounds[name].values()):,}",
            "rounds": _span(sorted(rounds[name])),
        }
        for name in ordered
    ]


def restart_rows(record: RunRecord) -> list[Row]:
    """Return each time that hosts were lost and the run went back to a checkpoint."""
    return [
        {
            "arm": line.get("arm", ""),
            "round": line["round"],
            "back_to": line.get("back_to", 0),
            "why": line["why"],
        }
        for line in record.restarts
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
