"""Charts of a life: the accuracy matrix, accuracy over episodes, and automatic labels.

Legend: E episodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentos.learning.life_records import EpisodeRecord, LifeRecord
from agentos.learning.outcome.life_report import test_names
from agentos.reporting.charts.heatmaps import DEEP, PALE
from agentos.reporting.charts.plotting import ALONE, BEFORE, TOGETHER, Chart, line, share_axis

WRITTEN = 12
"""Maximum episodes for which the cells of the matrix show their numbers."""
_EPISODES = {"title": {"text": "episode"}, "dtick": 1}


def charts_of(record: LifeRecord) -> list[Chart]:
    """Return the charts of a life; none before the end of its first episode."""
    if not record.episodes:
        return []
    labelled = [each for each in record.episodes if each.coverage is not None]
    return [
        accuracy_matrix(record),
        accuracy_over_episodes(record),
        *([automatic_labels(labelled)] if labelled else []),
    ]


def accuracy_matrix(record: LifeRecord) -> Chart:
    """Return a heat map: a row before the first episode and after each, a column for each test."""
    rows = [record.before, *(each.accuracies for each in record.episodes)]
    count = max(map(len, rows))
    tests = test_names(record, count)
    cells = [[round(value, 4) for value in row] + [None] * (count - len(row)) for row in rows]
    names = ["before", *(f"after {each.episode + 1}" for each in record.episodes)]
    trace = {
        "type": "heatmap",
        "z": cells,
        "x": tests,
        "y": names,
        "colorscale": [[0, PALE], [1, DEEP]],
        "zmin": 0.0,
        "zmax": 1.0,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{y}, %{x}: %{z:.1%}<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickformat": ".0%"},
    }
    if len(tests) <= WRITTEN:
        trace["texttemplate"] = "%{z:.0%}"
    every = {"type": "category", "automargin": True, "showgrid": False, "dtick": 1}
    return Chart(
        id="accuracy-matrix",
        title="Accuracy matrix",
        caption="Right answers to the test of each episode, before the first and after each. A column that "
        "fades downwards is forgotten.",
        traces=[trace],
        layout={
            "xaxis": every,
            "yaxis": every | {"autorange": "reversed"},
            "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        },
        height_px=min(620, 150 + 30 * len(rows)),
    )


def accuracy_over_episodes(record: LifeRecord) -> Chart:
    """Return the mean accuracy on all tests, and on those of the episodes so far, after each episode."""
    numbers = [each.episode + 1 for each in record.episodes]
    values = [np.array(each.accuracies) for each in record.episodes]
    marked = {"mode": "lines+markers"}
    return Chart(
        id="accuracy-over-episodes",
        title="Accuracy after each episode",
        caption="Mean over the tests of the episodes so far, and over those of all episodes.",
        traces=[
            line(TOGETHER, name="so far", x=numbers, y=_means(values, numbers), **marked),
            line(BEFORE, name="all", dash="dot", x=numbers, y=_means(values), **marked),
        ],
        layout={
            "xaxis": _EPISODES,
            "yaxis": {"rangemode": "tozero", **share_axis(percent=True)},
            "showlegend": True,
        },
    )


def _means(
    values: Sequence[np.ndarray], counts: Sequence[int | None] | Sequence[int] | None = None
) -> list[float]:
    first = counts or [None] * len(values)
    return [round(float(row[:count].mean()), 4) for row, count in zip(values, first, strict=True)]


def automatic_labels(labelled: Sequence[EpisodeRecord]) -> Chart:
    """Return the coverage of automatic labels in each episode, and their precision where there are any."""
    numbers = [each.episode + 1 for each in labelled]
    precise = [each for each in labelled if each.precision is not None]
    marked = {"mode": "lines+markers"}
    return Chart(
        id="automatic-labels",
        title="Automatic labels",
        caption="Coverage: share of the unlabelled text that the society labelled. Precision: share of these "
        "labels that are right.",
        traces=[
            line(
                TOGETHER,
                name="coverage",
                x=numbers,
                y=[each.coverage for each in labelled],
                **marked,
            ),
            line(
                ALONE,
                name="precision",
                dash="dash",
                x=[each.episode + 1 for each in precise],
                y=[each.precision for each in precise],
                **marked,
            ),
        ],
        layout={
            "xaxis": _EPISODES,
            "yaxis": {"rangemode": "tozero", **share_axis(percent=True)},
            "showlegend": True,
        },
    )
