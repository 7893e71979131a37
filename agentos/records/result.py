"""The outcome of a run: typed in Python, and the same in ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from pydantic import Field
from typing_extensions import Self

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_plan import JointCost
from agentos.records.layout import ISOLATED, SELF_TRAINING, TOGETHER, agent_name, agent_number
from agentos.records.reports import AgentMetrics, ArmResult
from protocols.ledger import Ledger
from protocols.spec import Spec

if TYPE_CHECKING:
    from pandas import DataFrame

UNTRAINED = "untrained"
"""The arm, in tables, of the agents before training."""


class Quality(Spec):
    """Evaluation of all agents: each by name, their mean, and the worst of them.

    The worst is the lowest if higher is better, else the highest.
    """

    agents: dict[str, dict[str, float]] = Field(default_factory=dict)
    mean: dict[str, float] = Field(default_factory=dict)
    worst: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def of(cls, agents: Mapping[str, Mapping[str, float]], metrics: Iterable[Metric]) -> Self:
        """Sum up the agents' metrics.

        An agent that lacks a metric is left out of it; a metric that every agent lacks is left out
        altogether.

        Args:
            agents: agent name -> metric name -> value.
            metrics: the metrics to sum up.

        Example:
            >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
            >>> quality = Quality.of({"agent-0": {"mrr": 0.5}, "agent-1": {"mrr": 0.25}}, [mrr])
            >>> quality.mean, quality.worst
            ({'mrr': 0.375}, {'mrr': 0.25})
        """
        return cls(**_sums(agents, metrics))

    def value(self, agent: int, metric: Metric) -> float | None:
        """Return one agent's value of a metric, or None if it was not measured."""
        return self.agents.get(agent_name(agent), {}).get(metric.name)


class Bytes(Spec):
    """Serialised bytes of all deliveries, and the bytes that they would have had without a codec."""

    total: int
    by_kind: dict[str, int]
    fp32_total: int
    fp32_by_kind: dict[str, int]

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """Sum up a ledger."""
        return cls(
            total=ledger.total(),
            by_kind=ledger.by_kind(),
            fp32_total=ledger.fp32_total(),
            fp32_by_kind=ledger.fp32_by_kind(),
        )


class Baseline(Quality):
    """The agents trained without each other, for as many optimizer steps."""

    tokens: int
    wall_s: float
    simulated_s: float | None = None


class Result(Quality):
    """The summary of a run.

    Attributes:
        directory: the run folder; not part of ``summary.json``.
        status: ``finished``, ``interrupted`` or ``failed``.
        rounds: rounds that were finished.
        steps: optimizer steps of each agent.
        tokens: tokens that went through encoders with a gradient; `anchor_tokens` of public anchors.
        wall_s: seconds from the start of the hosts to the end; `round_s` of each round of the run.
        phase_s: seconds by what they went into, over all arms, since the run began or was last resumed.
        simulated_s: simulated seconds until the last agent ended; None for a run without a clock.
        agents, mean, worst: the last evaluation.
        before: the evaluation of the untrained agents.
        joint: the cost of joint embeddings in the last evaluation, apart from `bytes`; None without any.
        isolated: the agents trained alone, if that baseline ran to its end.
        self_training: the agents taught by their own messages, if that baseline ran to its end.
    """

    directory: Path = Field(exclude=True)
    name: str
    seed: int
    status: str
    rounds: int
    steps: int
    tokens: int
    anchor_tokens: int
    wall_s: float
    simulated_s: float | None = None
    round_s: tuple[float, ...]
    phase_s: dict[str, float] = Field(default_factory=dict)
    bytes: Bytes
    before: Quality
    joint: JointCost | None = None
    isolated: Baseline | None = None
    self_training: Baseline | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``summary.json``; an absent baseline is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_pandas(self) -> DataFrame:
        """Return one row per arm and agent, with its last evaluation; ``untrained`` is before training."""
        return quality_table(
            {
                UNTRAINED: self.before,
                TOGETHER: self,
                ISOLATED: self.isolated,
                SELF_TRAINING: self.self_training,
            }
        )


def quality_table(arms: Mapping[str, Quality | None]) -> DataFrame:
    """Return one row per arm and agent with a column per metric; arms that are None are left out."""
    import pandas

    rows = [
        {"arm": arm, "agent": agent_number(agent), **values}
        for arm, quality in arms.items()
        if quality is not None
        for agent, values in quality.agents.items()
    ]
    names = dict.fromkeys(name for row in rows for name in row if name not in ("arm", "agent"))
    return pandas.DataFrame(rows, columns=["arm", "agent", *names])


@dataclass(frozen=True)
class RunIdentity:
    """The run that a result belongs to.

    Args:
        directory: the run folder.
        name, seed: as configured.
        local_steps: optimizer steps of an agent in a round.
        metrics: the metrics that were evaluated.
    """

    directory: Path
    name: str
    seed: int
    local_steps: int
    metrics: tuple[Metric, ...]


def summarise(
    run: RunIdentity,
    together: ArmResult,
    baselines: Mapping[str, ArmResult],
    *,
    status: str,
    wall_s: float,
    phase_s: Mapping[str, float] | None = None,
) -> Result:
    """Sum up the rounds of a run and of its baselines."""
    finished = together.finished
    found = {
        arm: Baseline(
            **_sums(_named(result.after), run.metrics),
            tokens=int(result.total("tokens")),
            wall_s=result.wall_s,
            simulated_s=result.simulated_s,
        )
        for arm, result in baselines.items()
        # A baseline that was cut short cannot be compared with.
        if result.after and result.finished == finished
    }
    return Result(
        **_sums(_named(together.after), run.metrics),
        directory=run.directory,
        name=run.name,
        seed=run.seed,
        status=status,
        rounds=finished,
        steps=finished * run.local_steps,
        tokens=int(together.total("tokens")),
        anchor_tokens=int(together.total("anchor_tokens")),
        wall_s=wall_s,
        simulated_s=together.simulated_s,
        round_s=tuple(report.round_s for report in together.rounds if report.round),
        phase_s=dict(phase_s or {}),
        bytes=Bytes.of(together.ledger),
        before=Quality.of(_named(together.before), run.metrics),
        joint=JointCost.of(together.rounds[-1].metrics.values()) if together.rounds else None,
        isolated=found.get(ISOLATED),
        self_training=found.get(SELF_TRAINING),
    )


def _named(evaluation: AgentMetrics) -> dict[str, dict[str, float]]:
    return {agent_name(agent): values for agent, values in evaluation.items()}


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and bool(np.isfinite(value))


def _sums(agents: Mapping[str, Mapping[str, float]], metrics: Iterable[Metric]) -> dict[str, Any]:
    mean: dict[str, float] = {}
    worst: dict[str, float] = {}
    for metric in metrics:
        given = (values.get(metric.name) for values in agents.values())
        found = [value for value in given if _is_finite(value)]
        if found:
            mean[metric.name] = float(np.mean(found))
            worst[metric.name] = float(min(found) if metric.higher_is_better else max(found))
    named = {
        name: {key: value for key, value in values.items() if _is_finite(value)}
        for name, values in agents.items()
    }
    return {"agents": named, "mean": mean, "worst": worst}
