"""The final table: before, alone and together, for every metric, of each agent and in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_config import is_joint
from agentos.records.layout import agent_name
from agentos.records.result import Quality
from agentos.records.views.outcome import Outcome
from agentos.reporting.charts.plotting import CROWD
from agentos.reporting.statistics import interval
from agentos.reporting.units import metric_text, sample_text

EXTREMES = 5
"""Agents of a large society shown from the top, and as many from the bottom."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """One metric in one row: a text per arm, and how the last arm compares with the previous arm."""

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
        caption: explanation for the reader.
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


def final_table(result: Outcome, names: Sequence[str], heldout: int | None = None) -> Table:
    """Return the final table of a run.

    Args:
        result: the run's result.
        names: one per agent, each once.
        heldout: number of held-out documents; None if it was not recorded.
    """
    arms = {"before": result.before}
    if result.isolated:
        arms["alone" if result.fair else f"alone (round {result.isolated_at})"] = result.isolated
    if result.self_training:
        same = result.self_training_at == result.compared_at
        title = "self-training" if same else f"self-training (round {result.self_training_at})"
        arms[title] = result.self_training
    if result.together.mean:
        arms["together"] = result.together
    agents = []
    for number in _order(result, len(names)):
        agent, name = agent_name(number), names[number]
        values = [arm.agents.get(agent, {}) for arm in arms.values()]
        note = "" if name == agent else agent
        agents.append(TableRow(name, note, _groups(values, result.metrics)))
    shown, rest = agents, list[TableRow]()
    if len(agents) > CROWD:
        shown, rest = [*agents[:EXTREMES], *agents[-EXTREMES:]], agents[EXTREMES:-EXTREMES]
    mean, worst = ([getattr(arm, part) for arm in arms.values()] for part in ("mean", "worst"))
    totals = [
        TableRow("mean", "of the agents", _groups(mean, result.metrics), total=True),
        TableRow("± 95 %", "over agents", _half_widths(list(arms.values()), result.metrics)),
        TableRow("worst", "by metric", _groups(worst, result.metrics), total=True, last_total=True),
    ]
    return Table(
        metrics=result.metrics,
        arms=tuple(arms),
        caption=_caption(
            list(arms),
            result.main if rest else None,
            any(metric.diagnostic for metric in result.metrics),
        )
        + f" {sample_text([len(names)], [heldout] if heldout else [])}.",
        totals=totals if result.metrics else [],
        shown=shown if result.metrics else [],
        rest=rest,
    )


def _caption(arms: Sequence[str], ordered_by: Metric | None, diagnostics: bool) -> str:
    text = "Arrows show which direction is better"
    text += "; ~ marks a diagnostic, which is no outcome." if diagnostics else "."
    if len(arms) > 1:
        text += (
            f" The small figure after “{arms[-1]}” is its difference from “{arms[-2]}”: green "
            "is better, red is worse."
        )
    if ordered_by:
        text += (
            f" Shown are the {EXTREMES} best and the {EXTREMES} worst agents by {ordered_by.title}."
        )
    return text


def _half_widths(arms: Sequence[Quality], metrics: Sequence[Metric]) -> tuple[Group, ...]:
    """Return the half-width of the 95 % interval of each mean over agents."""
    return tuple(
        Group(tuple(half_width_text(arm, metric) for arm in arms), "", "same") for metric in metrics
    )


def half_width(arm: Quality, metric: Metric) -> float | None:
    """Return the half-width of the 95 % interval of a mean over agents.

    None for a single agent, and for joint embeddings: there all agents answer as one.
    """
    if is_joint(metric):
        return None
    values = [found[metric.name] for found in arm.agents.values() if metric.name in found]
    return interval(values).half_width if len(values) > 1 else None


def half_width_text(arm: Quality, metric: Metric) -> str:
    """Return the half-width of the interval as a text, without the sign of per cent."""
    return metric_text(half_width(arm, metric), metric).rstrip("%")


def _order(result: Outcome, agents: int) -> list[int]:
    """Return the agents as they are listed: by number, or a crowd from best to worst."""
    main = result.main
    if main is None or agents <= CROWD:
        return list(range(agents))
    arm = result.together if result.together.mean else result.before

    def badness(agent: int) -> float:
        value = arm.value(agent, main)
        return float("inf") if value is None else -main.gain(value, 0.0)

    return sorted(range(agents), key=badness)


def _groups(arms: Sequence[Values], metrics: Sequence[Metric]) -> tuple[Group, ...]:
    return tuple(_group([arm.get(metric.name) for arm in arms], metric) for metric in metrics)


def _group(values: Sequence[float | None], metric: Metric) -> Group:
    change, tone = "", "same"
    if len(values) > 1 and values[-1] is not None and values[-2] is not None:
        change = metric_text(values[-1] - values[-2], metric, signed=True)
        if change != metric_text(0.0, metric, signed=True) and not metric.diagnostic:
            has_risen = values[-1] > values[-2]
            tone = "up" if has_risen == metric.higher_is_better else "down"
    return Group(tuple(metric_text(value, metric) for value in values), change, tone)
