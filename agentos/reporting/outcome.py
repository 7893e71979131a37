"""What came out of a run: before training, alone and together, from whatever the records hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentos.evaluation import Metric
from agentos.records.recorder import RunRecord, summarise_metrics

Row = Mapping[str, Any]
SIMULATED_S = "simulated_s"


@dataclass(frozen=True)
class Arm:
    """How good the agents of one arm are: each, their mean, and the worst of them."""

    agents: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]
    worst: Mapping[str, float]

    def of(self, agent: str, metric: Metric) -> float | None:
        """Return one agent's value of a metric, or None if it was not measured."""
        return self.agents.get(agent, {}).get(metric.name)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        status: ``finished``, ``interrupted``, or ``unfinished`` where there is no summary.
        metrics: the evaluation metrics that were measured, in the order of the tasks.
        before: the agents before training.
        isolated: the same agents trained alone, or None if no baseline ran.
        together: the agents as last evaluated after training together.
        compared_at: the round in which the agents together were last evaluated; 0 if never.
        isolated_at: the same of the baseline; the comparison is fair if both are equal.
        rounds: rounds that were recorded.
        tokens: tokens that all agents trained on.
        payload_bytes: serialised bytes of all deliveries.
        fp32_bytes: what they would have taken without a codec.
        bytes_by_kind, fp32_by_kind: the same by kind of payload.
        rejected: messages that receivers refused.
        wall_s: seconds that the run took, or None if it did not end in good order.
        steps: optimizer steps per agent, or None if they were not recorded.
        simulated_s: when the last agent ended its last round elsewhere; None for a run without a clock.
    """

    status: str
    metrics: tuple[Metric, ...]
    before: Arm
    isolated: Arm | None
    together: Arm
    compared_at: int
    isolated_at: int
    rounds: int
    tokens: int
    payload_bytes: int
    fp32_bytes: int
    bytes_by_kind: Mapping[str, int]
    fp32_by_kind: Mapping[str, int]
    rejected: int
    wall_s: float | None
    steps: int | None
    simulated_s: float | None = None

    @property
    def fair(self) -> bool:
        """Whether a baseline ran, and for as many rounds as the agents together."""
        return self.isolated is not None and self.isolated_at == self.compared_at

    @property
    def main(self) -> Metric | None:
        """The metric that the verdict is about: the first one measured."""
        return self.metrics[0] if self.metrics else None


@dataclass(frozen=True)
class Gain:
    """How much better the agents are together than alone, on one metric; positive is better.

    Args:
        mean: mean of the agents' gains.
        error: standard error of that mean over agents; None below three agents.
        gained: agents that gained.
        agents: agents that have a value in both arms.
    """

    mean: float
    error: float | None
    gained: int
    agents: int

    @property
    def clear(self) -> bool:
        """Whether the gain is more than twice its standard error."""
        return self.error is not None and abs(self.mean) > 2 * self.error


def outcome(record: RunRecord) -> Outcome:
    """Return what a run came to: its summary's word, or the last rows of an unfinished run."""
    summary = record.summary or {}
    alone = record.isolated or []
    every = tuple(record.meanings.values())
    sent = int(total(record.metrics, "bytes_sent"))
    before = _arm(summary.get("before"), first_values(record.metrics, every), every)
    together = _ending(summary, record.metrics, every)
    isolated = _ending(summary.get("isolated"), alone, every)
    ledger = record.ledger
    return Outcome(
        status=str(summary.get("status", "unfinished")),
        metrics=tuple(m for m in every if m.name in together.mean or m.name in before.mean),
        before=before,
        isolated=isolated if isolated.mean else None,
        together=together,
        compared_at=_last_evaluated(record.metrics, every),
        isolated_at=_last_evaluated(alone, every),
        rounds=max((row["round"] for row in record.metrics), default=0),
        tokens=int(summary.get("tokens") or total(record.metrics, "tokens")),
        payload_bytes=ledger.total() if ledger else sent,
        fp32_bytes=ledger.fp32_total() if ledger else sent,
        bytes_by_kind=ledger.by_kind() if ledger else {},
        fp32_by_kind=ledger.fp32_by_kind() if ledger else {},
        rejected=int(total(record.metrics, "rejected")),
        wall_s=summary.get("wall_s"),
        steps=summary.get("steps"),
        simulated_s=max((s for row in record.metrics if (s := row.get(SIMULATED_S))), default=None),
    )


def gain(arm: Arm, reference: Arm, metric: Metric) -> Gain | None:
    """Return how much better an arm is than another, agent by agent; None if none has both.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> alone = Arm({"agent-0": {"mrr": 0.5}, "agent-1": {"mrr": 0.25}}, {}, {})
        >>> together = Arm({"agent-0": {"mrr": 0.75}, "agent-1": {"mrr": 0.25}}, {}, {})
        >>> gain(together, alone, mrr)
        Gain(mean=0.125, error=None, gained=1, agents=2)
    """
    gains = [
        metric.gain(value, other)
        for agent in arm.agents
        if (value := arm.of(agent, metric)) is not None
        and (other := reference.of(agent, metric)) is not None
    ]
    if not gains:
        return None
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 2 else None
    return Gain(float(np.mean(gains)), error, sum(g > 0 for g in gains), len(gains))


def first_values(rows: Iterable[Row], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
    """Return each agent's metrics as evaluated before training, in round 0."""
    return _latest((row for row in rows if row["round"] == 0), metrics)


def last_values(rows: Iterable[Row], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
    """Return each agent's metrics as last evaluated, in round 1 or later."""
    return _latest((row for row in rows if row["round"] > 0), metrics)


def total(rows: Iterable[Row], key: str) -> float:
    """Return the sum of a key over all rows that have it."""
    return sum(row.get(key) or 0 for row in rows)


def _latest(rows: Iterable[Row], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        values = found.setdefault(row["agent"], {})
        for metric in metrics:
            if row.get(metric.name) is not None:
                values[metric.name] = row[metric.name]
    return found


def _last_evaluated(rows: Iterable[Row], metrics: Sequence[Metric]) -> int:
    return max((row["round"] for row in rows if any(m.name in row for m in metrics)), default=0)


def _ending(
    summarised: Mapping[str, Any] | None, rows: Sequence[Row], metrics: Sequence[Metric]
) -> Arm:
    """Return where an arm ended; empty if it was not evaluated since training began."""
    values = last_values(rows, metrics)
    return _arm(summarised if any(values.values()) else None, values, metrics)


def _arm(
    summarised: Mapping[str, Any] | None,
    rows: Mapping[str, Mapping[str, float]],
    metrics: Sequence[Metric],
) -> Arm:
    """Return an arm from its summary where there is one, else from its rows."""
    agents = (summarised or {}).get("agents") or rows
    present = {
        agent: {name: value for name, value in values.items() if value is not None}
        for agent, values in agents.items()
    }
    return Arm(**summarise_metrics(present, metrics))
