"""The records turned into curves: values over rounds, and bytes spent until a round."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from agentos.evaluation import Metric
from agentos.records.reader import RunRecord
from agentos.reporting.outcome import Row

Points = tuple[list[int], list[float]]
"""Rounds, and the values at them."""


def series(rows: Iterable[Row], key: str) -> dict[str, Points]:
    """Return agent -> (rounds, values) of one key, agents in order of number, gaps left out."""
    found: dict[str, Points] = {}
    for row in rows:
        if row.get(key) is not None:
            rounds, values = found.setdefault(row["agent"], ([], []))
            rounds.append(row["round"])
            values.append(row[key])
    return dict(sorted(found.items(), key=lambda item: agent_number(item[0])))


def rounds_of(rows: Iterable[Row], metric: Metric) -> dict[int, list[float]]:
    """Return round -> the agents' values of a metric, for the rounds that were evaluated."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row.get(metric.name) is not None:
            found[row["round"]].append(row[metric.name])
    return dict(sorted(found.items()))


def bytes_until(record: RunRecord) -> Callable[[int], int]:
    """Return a function: bytes exchanged up to and including a round."""
    steps = record.ledger.cumulative() if record.ledger else []
    rounds = [round for round, _ in steps]

    def until(round: int) -> int:
        before = bisect_right(rounds, round)
        return steps[before - 1][1] if before else 0

    return until


def agent_number(agent: str) -> int:
    """Return 3 for ``agent-3``; agents of any other name come first."""
    number = agent.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def unique(names: Sequence[str]) -> list[str]:
    """Return the names, those that repeat with their agent's number.

    Example:
        >>> unique(["numpy", "torch", "numpy"])
        ['numpy (0)', 'torch', 'numpy (2)']
    """
    times = Counter(names)
    return [f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(names)]
