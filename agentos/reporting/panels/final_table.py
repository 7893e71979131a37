"""The final table: before, alone and together, for every metric, of each agent and in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentos.evaluation import Metric
from agentos.records.reader import RunRecord
from agentos.reporting.charts.curves import CROWD
from agentos.reporting.outcome import Arm, Outcome
from agentos.reporting.units import metric_text

EXTREMES = 5
"""Of a crowd, so many of the best and of the worst agents are shown outright."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """One metric of one row: a text per arm, and how the last compares with the one before it."""

    values: tuple[str, ...]
    change: str
    tone: str


@dataclass(frozen=True)
class TableRow:
    """One agent, or a sum over all."""

    name: str
    note: str
    groups: tuple[Group, ...]
    total: bool = False
    last_total: bool = False


@dataclass(frozen=True)
class Table:
    """The final table.

    Args:
        metrics: one group of columns each.
        arms: the columns of a group.
        caption: how to read it.
        totals: mean and worst; empty if nothing was evaluated.
        shown: the agents, or the best and the worst of a crowd.
        rest: the others of a crowd.
    """

    metrics: tuple[Metric, ...]
    arms: tuple[str, ...]
    caption: str
    totals: list[TableRow]
    shown: list[TableRow]
    rest: list[TableRow]


def final_table(record: RunRecord, result: Outcome) -> Table:
    """Return the final table of a run."""
    arms = [("before", result.before)]
    if result.isolated:
        alone = "alone" if result.fair else f"alone (round {result.isolated_at})"
        arms.append((alone, result.isolated))
    if result.together.mean:
        arms.append(("together", result.together))
    held = [arm for _, arm in arms]
    agents = [_agent_row(record, result.metrics, held, i) for i in _order(record, result)]
    shown, rest = _extremes(agents) if len(agents) > CROWD else (agents, [])
    totals = [
        _row("mean", "of the agents", [arm.mean for arm in held], result.metrics, total=True),
        _row("worst", "by metric", [a.worst for a in held], result.metrics, total=True, last=True),
    ]
    return Table(
        metrics=result.metrics,
        arms=tuple(name for name, _ in arms),
        caption=_caption([name for name, _ in arms], bool(rest), result.main),
        totals=totals if result.metrics else [],
        shown=shown if result.metrics else [],
        rest=rest,
    )


def _caption(arms: Sequence[str], crowd: bool, main: Metric | None) -> str:
    text = "Arrows say which way is better."
    if len(arms) > 1:
        text += (
            f" The small figure after “{arms[-1]}” is its difference to “{arms[-2]}”: green "
            "is better, red is worse."
        )
    if crowd and main:
        text += f" Shown are the {EXTREMES} best and the {EXTREMES} worst agents by {main.title}."
    return text


def _order(record: RunRecord, result: Outcome) -> list[int]:
    """Return the agents as they are listed: by number, or a crowd from best to worst."""
    agents = list(range(record.network.agents))
    main = result.main
    if main is None or len(agents) <= CROWD:
        return agents
    arm = result.together if result.together.mean else result.before

    def badness(agent: int) -> float:
        value = arm.of(f"agent-{agent}", main)
        return float("inf") if value is None else -main.gain(value, 0.0)

    return sorted(agents, key=badness)


def _extremes(rows: list[TableRow]) -> tuple[list[TableRow], list[TableRow]]:
    return [*rows[:EXTREMES], *rows[-EXTREMES:]], rows[EXTREMES:-EXTREMES]


def _agent_row(
    record: RunRecord, metrics: Sequence[Metric], arms: Sequence[Arm], number: int
) -> TableRow:
    agent = f"agent-{number}"
    name = record.names[number]
    values = [arm.agents.get(agent, {}) for arm in arms]
    return _row(name, "" if name == agent else agent, values, metrics)


def _row(
    name: str,
    note: str,
    arms: Sequence[Values],
    metrics: Sequence[Metric],
    *,
    total: bool = False,
    last: bool = False,
) -> TableRow:
    return TableRow(name, note, tuple(_group(arms, metric) for metric in metrics), total, last)


def _group(arms: Sequence[Values], metric: Metric) -> Group:
    values = [arm.get(metric.name) for arm in arms]
    change, tone = "", "same"
    if len(values) > 1 and values[-1] is not None and values[-2] is not None:
        difference = values[-1] - values[-2]
        change = metric_text(difference, metric, signed=True)
        gain = metric.gain(values[-1], values[-2])
        if change != metric_text(0.0, metric, signed=True):
            tone = "up" if gain > 0 else "down"
    return Group(tuple(metric_text(value, metric) for value in values), change, tone)
