"""The charts of a report: learning curves, each agent's gain, quality against bytes, and bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentos.evaluation import Metric
from agentos.records.reader import RunRecord
from agentos.reporting.charts.plotting import (
    ALONE,
    BAND,
    BEFORE,
    TOGETHER,
    Chart,
    Trace,
    bytes_axis,
    colour,
    label,
    line,
    rounds_axis,
    share_axis,
)
from agentos.reporting.charts.series import (
    Points,
    agent_number,
    bytes_until,
    rounds_of,
    series,
    unique,
)
from agentos.reporting.outcome import Outcome

CROWD = 50
"""Above so many agents a chart shows their mean and spread instead of each."""


def learning_curve(record: RunRecord, key: str, title: str, help: str, percent: bool) -> Chart:
    """Return a value over rounds: a line per agent, dashed where it trained alone."""
    arms = [("together", series(record.metrics, key))]
    if record.isolated is not None:
        arms.append(("alone", series(record.isolated, key)))
    crowd = record.network.agents > CROWD
    traces = [
        trace
        for arm, by_agent in arms
        for trace in (_band(by_agent, arm) if crowd else _lines(by_agent, arm, record.names))
    ]
    return Chart(
        id=f"curve-{key}",
        title=title,
        caption=help,
        traces=traces,
        layout={
            "xaxis": rounds_axis(record.metrics),
            "yaxis": share_axis(percent),
            "showlegend": crowd,
        },
        agents=not crowd,
    )


def per_agent(record: RunRecord, result: Outcome, metric: Metric) -> Chart:
    """Return each agent before, alone and together; for a crowd, how the gains are distributed."""
    if record.network.agents > CROWD:
        return _gains(result, metric)
    names = [label(name) for name in unique(record.names)]
    ids = [f"agent-{i}" for i in range(record.network.agents)]
    arms = [("before training", result.before, BEFORE, "circle-open")]
    if result.isolated:
        arms.append(("alone", result.isolated, ALONE, "diamond"))
    arms.append(("together", result.together, TOGETHER, "circle"))
    rows = [[arm.of(agent, metric) for _, arm, _, _ in arms] for agent in ids]
    spans: tuple[list[Any], list[Any]] = ([], [])
    for name, values in zip(names, rows, strict=True):
        found = [value for value in values if value is not None]
        if found:
            spans[0].extend([min(found), max(found), None])
            spans[1].extend([name, name, None])
    traces: list[Trace] = [line(spans[0], spans[1], BEFORE, hoverinfo="skip", showlegend=False)]
    for column, (title, _, hue, symbol) in enumerate(arms):
        marker = {"color": hue, "size": 11, "symbol": symbol, "line": {"color": hue, "width": 2}}
        values = [row[column] for row in rows]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": title, "x": values, "y": names}
            | {"marker": marker}
        )
    return Chart(
        id="per-agent",
        title=f"{metric.title} of each agent",
        caption=" · ".join(title for title, _, _, _ in arms),
        traces=traces,
        layout={
            "xaxis": share_axis(metric.percent),
            "yaxis": {"autorange": "reversed", "type": "category", "automargin": True},
            "hovermode": "closest",
        },
        height_px=130 + 30 * len(names),
    )


def against_bytes(record: RunRecord, result: Outcome) -> Chart:
    """Return mean and worst quality over the bytes exchanged so far, one metric shown at a time."""
    sent = bytes_until(record)
    traces: list[Trace] = []
    for metric in result.metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == result.main}
        by_round = rounds_of(record.metrics, metric)
        spent = [sent(round) for round in by_round]
        worst = [min(v) if metric.higher_is_better else max(v) for v in by_round.values()]
        mean = [float(np.mean(values)) for values in by_round.values()]
        traces.append(
            line(spent, mean, TOGETHER, name="together, mean", mode="lines+markers") | shown
        )
        traces.append(
            line(
                spent,
                worst,
                TOGETHER,
                name="together, worst agent",
                dash="dot",
                mode="lines+markers",
            )
            | shown
        )
        alone = result.isolated.mean.get(metric.name) if result.isolated else None
        if alone is not None and spent:
            ends = [0, max(spent)]
            traces.append(line(ends, [alone] * 2, ALONE, name="alone, mean", dash="dash") | shown)
    return Chart(
        id="against-bytes",
        title="Quality against bytes",
        caption="What each byte bought: quality at every evaluation, over all bytes so far.",
        traces=traces,
        layout={
            "xaxis": bytes_axis(1, 1),
            "yaxis": share_axis(bool(result.main and result.main.percent)),
            "hovermode": "closest",
        },
        height_px=340,
    )


def bytes_by_round(record: RunRecord) -> Chart | None:
    """Return the bytes of each round stacked by kind of payload, or None if none were counted."""
    if record.ledger is None or not record.ledger.total():
        return None
    sums: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    rows = record.ledger.rows()
    for round, kind, size in zip(rows["round"], rows["kind"], rows["payload_bytes"], strict=True):
        sums[kind][round] += size
    return Chart(
        id="bytes-by-round",
        title="Bytes by round and kind",
        caption="Serialised bytes of all deliveries; one message to three receivers counts thrice.",
        traces=[
            {"type": "bar", "name": label(kind), "x": list(sums[kind]), "y": [*sums[kind].values()]}
            | {"marker": {"color": colour(i, len(sums))}}
            for i, kind in enumerate(sorted(sums))
        ],
        layout={
            "barmode": "stack",
            "xaxis": rounds_axis(record.metrics),
            "yaxis": {"tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero"},
            "showlegend": True,
            "legend": {"traceorder": "normal"},
        },
        height_px=340,
    )


def _lines(by_agent: Mapping[str, Points], arm: str, names: Sequence[str]) -> list[Trace]:
    """Return a line per agent, in the colour that the page's legend gives it."""
    shown = unique(names)
    traces = []
    for agent, (rounds, values) in by_agent.items():
        number = agent_number(agent)
        name = label(shown[number] if 0 <= number < len(shown) else agent)
        alone = arm != "together"
        trace = line(
            rounds,
            values,
            colour(max(number, 0), len(names)),
            name=f"{name}, alone" if alone else name,
            dash="dash" if alone else "solid",
            mode="lines" if len(rounds) > 2 else "lines+markers",
        )
        traces.append(
            trace | {"meta": {"agent": agent, "arm": arm}, "opacity": 0.75 if alone else 1}
        )
    return traces


def _band(by_agent: Mapping[str, Points], arm: str) -> list[Trace]:
    """Return the mean over agents and the band that holds the middle 80 % of them."""
    by_round: dict[int, list[float]] = defaultdict(list)
    for rounds, values in by_agent.values():
        for round, value in zip(rounds, values, strict=True):
            by_round[round].append(value)
    x = sorted(by_round)
    mean = [float(np.mean(by_round[round])) for round in x]
    if arm == "alone":
        return [line(x, mean, ALONE, name="alone", dash="dash")]
    low, high = ([float(np.quantile(by_round[round], q)) for round in x] for q in (0.1, 0.9))
    band = line([*x, *x[::-1]], [*high, *low[::-1]], BAND, name="middle 80 % of agents")
    filled = {"fill": "toself", "fillcolor": BAND, "hoverinfo": "skip", "line": {"width": 0}}
    return [band | filled, line(x, mean, TOGETHER, name="together")]


def _gains(result: Outcome, metric: Metric) -> Chart:
    """Return a histogram of how much each agent gained over its reference."""
    reference, against = (
        (result.isolated, "training alone")
        if result.isolated
        else (result.before, "before training")
    )
    gains = [
        metric.gain(value, other)
        for agent in result.together.agents
        if (value := result.together.of(agent, metric)) is not None
        and (other := reference.of(agent, metric)) is not None
    ]
    return Chart(
        id="per-agent",
        title=f"Gain in {metric.title} of the agents",
        caption=f"How many agents gained how much over {against}; right of zero is better.",
        traces=[{"type": "histogram", "x": gains, "nbinsx": 40, "marker": {"color": TOGETHER}}],
        layout={
            "xaxis": {"tickformat": "+.1%" if metric.percent else "+", "zeroline": True},
            "yaxis": {"title": {"text": "agents"}},
            "bargap": 0.05,
        },
    )
