"""Quality against the bytes exchanged, and bytes by round."""

from __future__ import annotations

from collections.abc import Sequence

from agentos.evaluation.base import Metric
from agentos.records.views.histories import Traffic
from agentos.records.views.metric_curves import MetricCurve
from agentos.reporting.charts.plotting import (
    ALONE,
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

CAPTION = (
    "Mean over agents at every evaluation, over all bytes that the run had exchanged by then. Dotted: the "
    "final value of a run that exchanged nothing."
)


def against_bytes(curves: Sequence[MetricCurve], traffic: Traffic) -> Chart:
    """Return mean and worst quality over the bytes exchanged so far, one metric shown at a time."""
    traces: list[Trace] = []
    for curve in curves:
        shown = {"meta": {"metric": curve.metric.name}, "visible": curve is curves[0]}
        together, alone = curve.together, curve.alone
        spent = [traffic.sent_by(round) for round in together.rounds]
        for values, name, dash in (
            (together.mean, "together, mean", "solid"),
            (together.worst, "together, worst agent", "dot"),
        ):
            style = line(TOGETHER, name=name, dash=dash, mode="lines+markers")
            traces.append({"x": spent, "y": values} | style | shown)
        if spent and alone and max(alone.rounds, default=0) > 0:  # evaluated since training began
            level = {"x": [0, max(spent)], "y": [alone.mean[-1]] * 2}
            traces.append(level | line(ALONE, name="alone, mean", dash="dash") | shown)
    return Chart(
        id="against-bytes",
        title="Quality against bytes",
        caption="Quality at every evaluation, over all bytes exchanged by then.",
        traces=traces,
        layout={
            "xaxis": bytes_axis(1, 1),
            "yaxis": share_axis(curves[0].metric.percent),
            "hovermode": "closest",
        },
        height_px=340,
    )


def runs_against_bytes(
    runs: Sequence[tuple[str, Traffic, Sequence[MetricCurve]]],
    metrics: Sequence[Metric],
    hues: Sequence[str],
) -> Chart:
    """Return each run's mean quality over the bytes that it had exchanged, one metric at a time.

    Args:
        runs: name, bytes and metrics of each.
        metrics: the metrics of any run; the first is shown.
        hues: colour of each run.
    """
    totals = [traffic.total for _, traffic, _ in runs if traffic.total]
    least, most = min(totals, default=1), max(totals, default=1)
    axis = bytes_axis(least, most)
    log = axis.get("type") == "log"
    traces = []
    for metric in metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == metrics[0]}
        for i, (name, traffic, curves) in enumerate(runs):
            found = [curve.together for curve in curves if curve.metric.name == metric.name]
            points = [
                (traffic.sent_by(round), mean)
                for curve in found
                for round, mean in zip(curve.rounds, curve.mean, strict=True)
            ]
            style = {"mode": "lines+markers"}
            if traffic.total == 0 and points:  # a level line at its final value
                points = [(x, points[-1][1]) for x in (least // 10 if log else 0, most)]
                style = {"dash": "dot"}
            points = [point for point in points if point[0] > 0 or not log]
            drawn = {"x": [x for x, _ in points], "y": [y for _, y in points]}
            traces.append(drawn | line(hues[i], name=label(name), **style) | shown)
    return Chart(
        id="against-bytes",
        title="Quality against bytes",
        caption=CAPTION,
        traces=traces,
        layout={
            "xaxis": axis,
            "yaxis": share_axis(bool(metrics) and metrics[0].percent),
            "showlegend": True,
        },
        height_px=420,
    )


def bytes_by_round(traffic: Traffic, rounds: int) -> Chart | None:
    """Return the bytes of each round stacked by kind of payload, or None if none were recorded."""
    if not traffic.by_round:
        return None
    kinds = sorted(traffic.by_round)
    return Chart(
        id="bytes-by-round",
        title="Bytes by round and kind",
        caption="Serialised bytes of all deliveries; a message to three receivers counts three times.",
        traces=[
            {"type": "bar", "name": label(kind), "x": [*sums], "y": [*sums.values()]}
            | {"marker": {"color": colour(i)}}
            for i, kind in enumerate(kinds)
            if (sums := traffic.by_round[kind])
        ],
        layout={
            "barmode": "stack",
            "xaxis": rounds_axis(rounds),
            "yaxis": {"tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero"},
            "showlegend": True,
            "legend": {"traceorder": "normal"},
        },
        height_px=340,
    )
