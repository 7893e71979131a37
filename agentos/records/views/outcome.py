"""The outcome of a run as its records hold it: before training, trained alone, trained together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_plan import JointCost
from agentos.records.layout import ARMS, ISOLATED, SELF_TRAINING, agent_number
from agentos.records.reader import Row, RunRecord, config_value
from agentos.records.result import Quality
from agentos.records.views.metric_curves import SIMULATED_S


@dataclass(frozen=True)
class Gain:
    """The gain of training together over a baseline, on one metric; positive is better.

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
        """Return whether the gain is more than twice its standard error."""
        return self.error is not None and abs(self.mean) > 2 * self.error


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Args:
        status: ``finished``, ``interrupted``, ``failed``, or ``unfinished`` if there is no summary.
        metrics: the evaluation metrics that were measured, in the order of the tasks.
        before: the agents before training.
        isolated: the same agents trained alone, or None if no baseline ran.
        together: the agents as last evaluated after training together.
        compared_at: the round in which the agents together were last evaluated; 0 if never.
        isolated_at: the same of the baseline; the comparison is fair if both are equal.
        self_training: the same agents taught by their own messages, or None if that baseline did not run.
        self_training_at: the round in which these were last evaluated.
        bytes_sent: serialised bytes of all messages; None if they were not recorded.
        rounds: rounds that were recorded; `planned_rounds` as configured, None if unknown.
        tokens: tokens that all agents trained on.
        steps: optimizer steps per agent, or None if they were not recorded.
        wall_s: seconds that the run took, or None if it has no summary.
        phase_s: seconds of each phase, over all arms; empty if they were not recorded.
        waited_for_views: share of the training time spent waiting for views; None if not recorded.
        simulated_s: simulated seconds until the last agent ended; None for a run without a clock.
        joint: cost of the joint embeddings; None if none were evaluated.
    """

    status: str
    metrics: tuple[Metric, ...]
    before: Quality
    isolated: Quality | None
    together: Quality
    compared_at: int
    isolated_at: int
    self_training: Quality | None
    self_training_at: int
    bytes_sent: int | None
    rounds: int
    planned_rounds: int | None
    tokens: int
    steps: int | None
    wall_s: float | None
    phase_s: Mapping[str, float]
    waited_for_views: float | None
    simulated_s: float | None
    joint: JointCost | None = None

    @property
    def fair(self) -> bool:
        """Return whether a baseline ran, and for as many rounds as the agents together."""
        return self.isolated is not None and self.isolated_at == self.compared_at

    @property
    def controls(self) -> dict[str, Quality]:
        """The baselines that trained for as long as the agents together, by name."""
        found = {
            "alone": (self.isolated, self.isolated_at),
            "by self-training": (self.self_training, self.self_training_at),
        }
        return {
            name: arm
            for name, (arm, round) in found.items()
            if arm is not None and round == self.compared_at
        }

    @property
    def control(self) -> str | None:
        """The best of the controls by the mean of the first metric; None if none has it."""
        metric = self.main
        if metric is None:
            return None
        means = {name: arm.mean.get(metric.name) for name, arm in self.controls.items()}
        scores = {name: metric.gain(mean, 0.0) for name, mean in means.items() if mean is not None}
        return max(scores, key=scores.__getitem__, default=None)

    @property
    def gain(self) -> Gain | None:
        """The gain of the agents together over the best control on the first metric, if both have it."""
        metric, control = self.main, self.control
        if metric is None or control is None:
            return None
        return gain(self.together, self.controls[control], metric)

    @property
    def main(self) -> Metric | None:
        """The metric that the verdict is about: the first one measured that is an outcome, if any is."""
        outcomes = (metric for metric in self.metrics if not metric.diagnostic)
        return next(outcomes, self.metrics[0] if self.metrics else None)


def outcome(record: RunRecord) -> Outcome:
    """Return the outcome of a run, finished or not."""
    summary, rows, every = record.summary or {}, record.metrics, tuple(record.meanings.values())
    before = Quality.of(_latest((row for row in rows if row["round"] == 0), every), every)
    together, alone, by_itself = (
        Quality.of(_latest((row for row in record.rows(arm) if row["round"] > 0), every), every)
        for arm in ARMS
    )
    metrics = tuple(m for m in every if m.name in together.mean or m.name in before.mean)
    last = max((row["round"] for row in rows), default=0)
    planned = config_value(record.config, "training", "rounds")
    return Outcome(
        status=str(summary.get("status", "unfinished")),
        metrics=metrics,
        before=before,
        isolated=alone if alone.mean else None,
        together=together,
        compared_at=_last_evaluated(rows, every),
        isolated_at=_last_evaluated(record.rows(ISOLATED), every),
        self_training=by_itself if by_itself.mean else None,
        self_training_at=_last_evaluated(record.rows(SELF_TRAINING), every),
        bytes_sent=None if record.ledger is None else record.ledger.total(),
        rounds=last,
        planned_rounds=planned if isinstance(planned, int) else None,
        tokens=int(summary.get("tokens") or total(rows, "tokens")),
        steps=summary.get("steps"),
        wall_s=summary.get("wall_s"),
        phase_s={name: float(spent) for name, spent in (summary.get("phase_s") or {}).items()},
        waited_for_views=_waited_for_views(rows),
        simulated_s=max((s for row in rows if (s := row.get(SIMULATED_S))), default=None),
        joint=JointCost.of(row for row in rows if row["round"] == last),
    )


def gain(arm: Quality, reference: Quality, metric: Metric) -> Gain | None:
    """Return how much better an arm is than another, agent by agent; None if no agent has both.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> alone = Quality(agents={"agent-0": {"mrr": 0.5}, "agent-1": {"mrr": 0.25}})
        >>> together = Quality(agents={"agent-0": {"mrr": 0.75}, "agent-1": {"mrr": 0.25}})
        >>> gain(together, alone, mrr)
        Gain(mean=0.125, error=None, gained=1, agents=2)
    """
    gains = gains_of(arm, reference, metric)
    if not gains:
        return None
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 2 else None
    return Gain(float(np.mean(gains)), error, sum(g > 0 for g in gains), len(gains))


def gains_of(arm: Quality, reference: Quality, metric: Metric) -> list[float]:
    """Return each agent's gain over a reference; agents that lack either value are left out."""
    return [
        metric.gain(values[metric.name], reference.agents[agent][metric.name])
        for agent, values in arm.agents.items()
        if metric.name in values and metric.name in reference.agents.get(agent, {})
    ]


def total(rows: Iterable[Row], key: str) -> float:
    """Return the sum of a key over all rows that have it."""
    return sum(row.get(key) or 0 for row in rows)


def _latest(rows: Iterable[Row], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
    """Return the last value of each metric of each agent, agents in the order of their numbers."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        values = found.setdefault(row["agent"], {})
        for metric in metrics:
            if row.get(metric.name) is not None:
                values[metric.name] = row[metric.name]
    return dict(sorted(found.items(), key=lambda item: agent_number(item[0]) or 0))


def _last_evaluated(rows: Iterable[Row], metrics: Sequence[Metric]) -> int:
    return max((row["round"] for row in rows if any(m.name in row for m in metrics)), default=0)


def _waited_for_views(rows: Sequence[Row]) -> float | None:
    trained = [row for row in rows if row.get("train_s")]
    if not any("wait_s" in row for row in trained):
        return None
    return total(trained, "wait_s") / total(trained, "train_s")
