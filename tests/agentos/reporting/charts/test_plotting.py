"""Axes of charts: what Plotly accepts, and what it does with it."""

from __future__ import annotations

from plotly import graph_objects

from agentos.reporting.charts.plotting import share_axis


def test_percent_axis_is_clipped_and_not_fixed_to_the_whole_range() -> None:
    axis = graph_objects.layout.YAxis(share_axis(percent=True))  # refuses options Plotly lacks
    options = axis.autorangeoptions
    assert (options.clipmin, options.clipmax) == (-0.02, 1.02)
    # These would be taken as the ends of the axis, however close together the values are.
    assert options.minallowed is options.maxallowed is None


def test_other_axes_are_left_to_plotly() -> None:
    assert share_axis(percent=False) == {}
