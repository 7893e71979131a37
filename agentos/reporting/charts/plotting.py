"""A chart as a plain Plotly figure; the page gives it its colours and fonts.

A colour that starts with ``--`` is a variable of the page's style sheet, so that one figure serves
a light and a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from agentos.reporting.units import bytes_text

COLOURS = (
    "#3b7dd8", "#e0662f", "#2f9e6e", "#a35cc9", "#c08a00",
    "#d6457f", "#1a9bb0", "#7d8a2e", "#93705c", "#6470c8",
)  # fmt: skip
TOGETHER, ALONE, BEFORE, BAND = "--together", "--alone", "--before", "--band"

WIDE = 20
"""Bytes are drawn on a logarithmic axis where one run exchanged so many times another's."""

Trace = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure of a page.

    Args:
        id: its element's id.
        title: what it shows.
        caption: how to read it.
        traces: Plotly traces.
        layout: Plotly layout, without colours and fonts.
        height_px: its height.
        agents: whether the page's legend of agents switches its traces.
    """

    id: str
    title: str
    caption: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height_px: int = 300
    agents: bool = False

    @property
    def figure(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {"data": list(self.traces), "layout": dict(self.layout), "agents": self.agents}


def label(text: str, limit: int = 28) -> str:
    """Return a text fit for a chart: cut to a length, and with no markup for Plotly to act on.

    Example:
        >>> label("<b>numpy</b>")
        '&lt;b&gt;numpy&lt;/b&gt;'
    """
    return escape(text if len(text) <= limit else text[: limit - 1] + "…", quote=False)


def colour(index: int, count: int) -> str:
    """Return the colour of one of ``count`` things, from the palette or around the wheel."""
    if count <= len(COLOURS):
        return COLOURS[index]
    return f"hsl({round(360 * index / count)}, 58%, {(46, 56)[index % 2]}%)"


def line(
    x: Sequence[Any], y: Sequence[Any], hue: str, *, dash: str = "solid", **more: Any
) -> Trace:
    """Return a line through points; ``more`` goes to the trace as it is.

    Example:
        >>> line([1, 2], [3, 4], TOGETHER, name="mean")["line"]["color"]
        '--together'
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"color": hue, "dash": dash, "width": 2},
        "marker": {"color": hue, "size": 6},
        **more,
    }


def rounds_axis(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an axis of rounds, from 0, with ticks at whole rounds.

    Example:
        >>> rounds_axis([{"round": 20}])["dtick"]
        3
    """
    last = max((row["round"] for row in rows), default=0)
    return {
        "title": {"text": "round"},
        "rangemode": "tozero",
        "tick0": 0,
        "dtick": max(1, math.ceil(last / 8)),
    }


def share_axis(percent: bool) -> dict[str, Any]:
    """Return an axis of a metric; one in percent never reaches far beyond 0 and 100 %.

    Left to itself, plotly draws a single value of 0.12 on an axis from -1 to 1.
    """
    bounds = {"minallowed": -0.02, "maxallowed": 1.02}
    return {"tickformat": ".0%", "autorangeoptions": bounds} if percent else {}


def bytes_axis(least: int, most: int) -> dict[str, Any]:
    """Return an axis of bytes from 0; a logarithmic one where the ends are more than 20-fold apart.

    Args:
        least: bytes of the run that exchanged least, above 0.
        most: bytes of the run that exchanged most.

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
