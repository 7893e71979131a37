"""Charts as plain Plotly figures; the page gives them their colours and fonts.

A colour that starts with ``--`` is a variable of the page's style sheet, so that one figure serves
a light and a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from agentos.reporting.units import bytes_text

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d00", "#7f7f7f")
"""Eight colours that colour-blind readers can tell apart, after Okabe and Ito, Color Universal Design, 2008;
black and yellow, which one of a dark and a light page hides, are replaced."""
TOGETHER, ALONE, BEFORE, BAND = "--together", "--alone", "--before", "--band"

LINES = len(COLOURS)
"""Maximum agents with a line each; above it, curves show the mean and the spread."""
CROWD = 50
"""Maximum agents with a row or a point each."""
WIDE = 20
"""Ratio of the largest to the smallest number of bytes above which their axis is logarithmic."""

Trace = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure of a page.

    Args:
        id: id of its element.
        title, caption: texts above it.
        traces: Plotly traces.
        layout: Plotly layout, without colours and fonts.
        height_px: its height.
        agents: whether the page's buttons for agents show and hide its traces.
    """

    id: str
    title: str
    caption: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height_px: int = 300
    agents: bool = False


def label(text: str, limit: int = 28) -> str:
    """Return a text for a chart: cut to a length, and without markup that Plotly would interpret.

    Example:
        >>> label("<b>numpy</b>")
        '&lt;b&gt;numpy&lt;/b&gt;'
    """
    return escape(text if len(text) <= limit else text[: limit - 1] + "…", quote=False)


def colour(index: int) -> str:
    """Return the colour of an item by its place in a list; from the eighth on, all are grey.

    Example:
        >>> colour(0) != colour(7) == colour(299)
        True
    """
    return COLOURS[min(index, len(COLOURS) - 1)]


def line(hue: str, *, dash: str = "solid", **more: Any) -> Trace:
    """Return a line without its points, which the caller adds; ``more`` goes to the trace unchanged.

    Example:
        >>> mean = {"x": [1, 2], "y": [0.25, 0.5]} | line(TOGETHER, name="mean")
        >>> mean["y"], mean["line"]["color"]
        ([0.25, 0.5], '--together')
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "line": {"color": hue, "dash": dash, "width": 2},
        "marker": {"color": hue, "size": 6},
        **more,
    }


def rounds_axis(last: int) -> dict[str, Any]:
    """Return an axis of rounds up to the last one, with ticks at whole rounds.

    Example:
        >>> rounds_axis(20)["dtick"]
        3
    """
    return {
        "title": {"text": "round"},
        "rangemode": "tozero",
        "tick0": 0,
        "dtick": max(1, math.ceil(last / 8)),
    }


def share_axis(percent: bool) -> dict[str, Any]:
    """Return an axis of a metric; an axis in percent never extends far beyond 0 and 100 %.

    By default, Plotly draws a single value of 0.12 on an axis from -1 to 1.
    """
    bounds = {"clipmin": -0.02, "clipmax": 1.02}
    return {"tickformat": ".0%", "autorangeoptions": bounds} if percent else {}


def bytes_axis(least: int, most: int) -> dict[str, Any]:
    """Return an axis of bytes from 0; a logarithmic axis if the ends are more than 20-fold apart.

    Args:
        least: bytes of the run that exchanged the least, above 0.
        most: bytes of the run that exchanged the most.

    Example:
        >>> bytes_axis(1_000, 30_000)["ticktext"][:4]
        ['100 B', '200 B', '500 B', '1.00 kB']
    """
    title = {"text": "bytes exchanged"}
    if most <= WIDE * least:
        return {"title": title, "tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero"}
    decades = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1)
    ticks = [digit * 10**decade for decade in decades for digit in (1, 2, 5)]
    text = [bytes_text(tick) for tick in ticks]
    return {"title": title, "type": "log", "tickvals": ticks, "ticktext": text}
