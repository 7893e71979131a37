"""What a run comes to: typed in Python, and the same in ``summary.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from agentos.evaluation.base import Metric
from agentos.records.recorder import summarise_metrics
from protocols.ledger import Ledger
from protocols.spec import Spec

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.records.reports import AgentMetrics, ArmResult


class Quality(Spec):
    """Evaluation of all agents: each, their mean, and the worst of them."""

    agents: dict[str, dict[str, float]]
    mean: dict[str, float]
    worst: dict[str, float]


class Bytes(Spec):
    """Serialised bytes of all deliveries, and what they would have been without a codec."""

    total: int
    by_kind: dict[str, int]
    fp32_total: int
    fp32_by_kind: dict[str, int]


class Baseline(Quality):
    """The agents trained alone, for as many optimizer steps."""

    tokens: int
    wall_s: float
    simulated_s: float | None = None


class Result(Quality):
    """A run's summary.

    Attributes:
        directory: the run folder; not part of ``summary.json``.
        status: ``finished``, ``interrupted`` or ``failed``.
        rounds: rounds that were finished.
        steps: optimizer steps of each agent.
        tokens: that went through encoders with a gradient; `anchor_tokens` of public anchors.
        wall_s: seconds from the start of the hosts to the end; `round_s` of each round of the run.
        simulated_s: when the last agent would have ended elsewhere; None for a run without a clock.
        agents, mean, worst: the last evaluation.
        before: the evaluation of the untrained agents.
        isolated: the baseline, where one ran to its end.
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
    bytes: Bytes
    before: Quality
    isolated: Baseline | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``summary.json``; an absent baseline is left out."""
        return self.model_dump(mode="json", exclude_none=True)


def summarise(
    config: RunConfig,
    directory: Path,
    *,
    status: str,
    wall_s: float,
    together: ArmResult,
    isolated: ArmResult | None,
    metrics: Sequence[Metric],
) -> Result:
    """Sum up the rounds of a run and of its baseline."""
    finished = together.finished
    baseline = None
    # A baseline that was cut short is no comparison.
    if isolated is not None and isolated.after and isolated.finished == finished:
        baseline = Baseline(
            **_quality(isolated.after, metrics),
            tokens=int(isolated.total("tokens")),
            wall_s=isolated.wall_s,
            simulated_s=isolated.simulated_s,
        )
    return Result(
        **_quality(together.after, metrics),
        directory=directory,
        name=config.name,
        seed=config.seed,
        status=status,
        rounds=finished,
        steps=finished * config.training.local_steps,
        tokens=int(together.total("tokens")),
        anchor_tokens=int(together.total("anchor_tokens")),
        wall_s=wall_s,
        simulated_s=together.simulated_s,
        round_s=tuple(report.round_s for report in together.rounds if report.round),
        bytes=_bytes(together.ledger),
        before=Quality(**_quality(together.before, metrics)),
        isolated=baseline,
    )


def _bytes(ledger: Ledger) -> Bytes:
    return Bytes(
        total=ledger.total(),
        by_kind=ledger.by_kind(),
        fp32_total=ledger.fp32_total(),
        fp32_by_kind=ledger.fp32_by_kind(),
    )


def _quality(evaluation: AgentMetrics, metrics: Sequence[Metric]) -> dict[str, Any]:
    named = {f"agent-{agent}": values for agent, values in evaluation.items()}
    return summarise_metrics(named, metrics)
