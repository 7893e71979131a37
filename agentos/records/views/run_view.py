"""A run as reports and comparisons see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentos.data.printable_text import printable
from agentos.evaluation.base import Metric
from agentos.records.atomic_files import reading
from agentos.records.layout import HELDOUT
from agentos.records.reader import RecordedNetwork, RunRecord, config_value, load_run
from agentos.records.views.histories import (
    HealthHistory,
    SimulatedTime,
    Traffic,
    clock_of,
    faults_of,
    health_of,
    traffic_of,
)
from agentos.records.views.metric_curves import MetricCurve, metric_curves
from agentos.records.views.outcome import Outcome, outcome

LOSS = Metric(
    name="loss",
    higher_is_better=False,
    help="Mean training loss of each round; the losses of arms that optimise different objectives do "
    "not compare.",
    label="Training loss",
)


@dataclass(frozen=True)
class RunView:
    """A run as reports and comparisons see it.

    Args:
        directory, name, seed: the run folder, and the run's name and seed.
        topology, exchange: their kinds.
        codec: its kind, or None if the exchange has no codec.
        config, config_text, environment: as recorded.
        network: the agents and the edges between them.
        names: one name per agent, each once, in the order of their numbers.
        health: None if health was not monitored.
        curves: metrics over rounds: the training loss, and the evaluation in the order of its tasks.
        faults: kind of fault, or of the policy's reaction -> round -> count.
        restarts: one mapping per restart, as recorded.
        clock: None for a run without a clock.
    """

    directory: Path
    name: str
    seed: int
    topology: str
    exchange: str
    codec: str | None
    config: Mapping[str, Any]
    config_text: str
    environment: Mapping[str, Any]
    network: RecordedNetwork
    names: tuple[str, ...]
    outcome: Outcome
    traffic: Traffic
    health: HealthHistory | None
    curves: tuple[MetricCurve, ...]
    faults: Mapping[str, Mapping[int, int]]
    restarts: Sequence[Mapping[str, Any]]
    clock: SimulatedTime | None

    @property
    def heldout(self) -> int | None:
        """Number of held-out documents; None where it was not recorded."""
        found = self.environment.get(HELDOUT)
        return found if isinstance(found, int) else None

    def curve(self, metric: Metric) -> MetricCurve | None:
        """Return the curve of a metric, or None if it was never measured."""
        return next((curve for curve in self.curves if curve.metric.name == metric.name), None)


def load_view(directory: str | Path) -> RunView:
    """Read a run folder; see `load_run`.

    Raises:
        RecordError: the folder is missing, is not a run folder, or one of its files is damaged.
    """
    record = load_run(directory)
    with reading(record.directory):
        return view_run(record)


def view_run(record: RunRecord) -> RunView:
    """Return the views of a record."""
    result = outcome(record)
    return RunView(
        directory=record.directory,
        name=str(record.config.get("name") or record.directory.name),
        seed=record.config.get("seed", 0),
        topology=_kind(record.config, "topology"),
        exchange=_kind(record.config, "exchange"),
        codec=config_value(record.config, "exchange", "codec", "kind"),
        config=record.config,
        config_text=record.config_text,
        environment=record.environment,
        network=record.network,
        names=unique([printable(name) for name in record.names]),
        outcome=result,
        traffic=traffic_of(record),
        health=health_of(record) if record.health else None,
        curves=metric_curves(record, (LOSS, *result.metrics)),
        faults=faults_of(record.faults),
        restarts=record.restarts,
        clock=None if result.simulated_s is None else clock_of(record, result.metrics),
    )


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, those that repeat with their agent's number.

    Example:
        >>> unique(["numpy", "torch", "numpy"])
        ('numpy (0)', 'torch', 'numpy (2)')
    """
    times = Counter(names)
    return tuple(f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(names))


def _kind(config: Mapping[str, Any], part: str) -> str:
    """Return the kind of a part of the configuration; "custom" if it has no name."""
    value = config.get(part)
    kind = value.get("kind") if isinstance(value, dict) else value
    return str(kind or "custom")
