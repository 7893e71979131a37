"""The timeline of a profiled run: the phases of every host and of the coordinator, and their totals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agentos.reporting.charts.plotting import Chart, label
from agentos.runtime.profiling.trace_file import COORDINATOR, Stretch, Timeline

COLOURS = {
    "train": "#3b7dd8",
    "compose": "#c08a00",
    "deliver": "#d6457f",
    "merge": "#a35cc9",
    "evaluate": "#2f9e6e",
    "save": "#93705c",
    "start": "#1a9bb0",
    "coordinate": "#e0662f",
    "other": "#7d8a2e",
    "wait": "#b9bfca",
}
"""Colour of each phase, in the order of the legend."""

LANES = 24
"""Most hosts that are drawn; of more, the first."""
BINS = 600
"""Most stretches of a lane that are drawn as they are; more are binned, each bin in one colour."""


@dataclass(frozen=True)
class Times:
    """The timeline and the table below it."""

    chart: Chart | None = None
    note: str = ""
    rows: list[dict[str, str]] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        """The chart, if there is one."""
        return [self.chart] if self.chart else []


def timeline_of(timeline: Timeline | None) -> Times:
    """Return the timeline of a profile; an empty one where there is no profile."""
    if timeline is None or not timeline.lanes:
        return Times()
    lanes = {name: flat(stretches) for name, stretches in timeline.lanes.items()}
    return Times(_chart(lanes), _note(timeline), _rows(lanes))


def flat(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Cut stretches that contain others around these, so that every instant belongs to one.

    A stretch that ends after the one before it is not contained in that: it follows it.

    Args:
        stretches: in the order in which they began, the longest first.

    Example:
        >>> pieces = flat([Stretch("merge", 0, 9), Stretch("deliver", 1, 4)])
        >>> [(piece.phase, piece.began_s, piece.ended_s) for piece in pieces]
        [('merge', 0, 1), ('deliver', 1, 4), ('merge', 4, 9)]
    """
    pieces: list[Stretch] = []
    around: list[Stretch] = []  # each contains the next; the part of it that is still to be cut

    def close(until: float) -> None:
        while around and around[-1].ended_s <= until:
            done = around.pop()
            pieces.append(done)
            if around:
                around[-1] = around[-1]._replace(began_s=done.ended_s)

    for stretch in stretches:
        close(stretch.began_s)
        if around:
            pieces.append(around[-1]._replace(ended_s=stretch.began_s))
        while around and around[-1].ended_s < stretch.ended_s:
            around.pop()  # it only seems to contain this one: times are rounded
        around.append(stretch)
    close(math.inf)
    return [piece for piece in pieces if piece.ended_s > piece.began_s]


def coarse(pieces: Sequence[Stretch], end_s: float, bins: int = BINS) -> list[Stretch]:
    """Return pieces as bins of equal length, each of the phase that fills most of it.

    Neighbouring bins of one phase are joined. Few pieces stay as they are.
    """
    if len(pieces) <= bins:
        return list(pieces)
    width = end_s / bins
    filled: list[dict[str, float]] = [defaultdict(float) for _ in range(bins)]
    for phase, began, ended in pieces:
        for index in range(int(began / width), min(bins, int(ended / width) + 1)):
            overlap = min(ended, (index + 1) * width) - max(began, index * width)
            filled[index][phase] += max(0.0, overlap)
    parts: list[Stretch] = []
    for index, shares in enumerate(filled):
        if not any(shares.values()):
            continue
        phase, start = max(shares, key=lambda each: shares[each]), index * width
        if parts and parts[-1].phase == phase and math.isclose(parts[-1].ended_s, start):
            start = parts.pop().began_s
        parts.append(Stretch(phase, start, (index + 1) * width))
    return parts


def _chart(lanes: dict[str, list[Stretch]]) -> Chart:
    shown = dict(list(lanes.items())[: 1 + LANES])
    end = max((pieces[-1].ended_s for pieces in shown.values() if pieces), default=0.0)
    bars: dict[str, list[tuple[str, Stretch]]] = defaultdict(list)
    for name, pieces in shown.items():
        for piece in coarse(pieces, end):
            bars[piece.phase if piece.phase in COLOURS else "other"].append((name, piece))
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": phase,
            "y": [label(name) for name, _ in bars[phase]],
            "base": [round(piece.began_s, 4) for _, piece in bars[phase]],
            "x": [round(piece.ended_s - piece.began_s, 4) for _, piece in bars[phase]],
            "marker": {"color": hue, "line": {"width": 0}},
            "width": 0.72,
            "hovertemplate": "%{x:.4~g} s from %{base:.2f} s",
        }
        for phase, hue in COLOURS.items()
        if bars[phase]
    ]
    more = len(lanes) - len(shown)
    order = [label(name) for name in reversed(shown)]
    return Chart(
        id="timeline",
        title="Timeline",
        caption="The phases of every host and of the coordinator; drag to zoom."
        + (f" {more:,} more hosts are not drawn." if more > 0 else ""),
        traces=traces,
        layout={
            "barmode": "overlay",
            "xaxis": {"title": {"text": "seconds since the start"}, "rangemode": "tozero"},
            "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": order},
            "showlegend": False,
        },
        height_px=80 + 34 * len(shown),
    )


def _rows(lanes: dict[str, list[Stretch]]) -> list[dict[str, str]]:
    hosts = _sums(piece for name in lanes if name != COORDINATOR for piece in lanes[name])
    own = _sums(lanes.get(COORDINATOR, []))
    phases = [phase for phase in COLOURS if hosts.get(phase) or own.get(phase)]
    return [
        {
            "phase": phase,
            "colour": COLOURS[phase],
            **_cells("hosts", hosts, phase),
            **_cells("coordinator", own, phase),
        }
        for phase in phases
    ]


def _sums(pieces: Iterable[Stretch]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for phase, began, ended in pieces:
        sums[phase if phase in COLOURS else "other"] += ended - began
    return sums


def _cells(owner: str, sums: dict[str, float], phase: str) -> dict[str, str]:
    seconds, total = sums.get(phase, 0.0), sum(sums.values())
    if not seconds:
        return {f"{owner}_s": "–", f"{owner}_share": "–"}
    return {f"{owner}_s": f"{seconds:,.3f}", f"{owner}_share": f"{seconds / total:.1%}"}


def _note(timeline: Timeline) -> str:
    hosts = len(timeline.lanes) - (COORDINATOR in timeline.lanes)
    count = f"{hosts:,} host" + ("" if hosts == 1 else "s")
    note = (
        f"Seconds of {count} together, and of the coordinator, which waits while hosts work. Open the file "
        "trace.json in Perfetto (ui.perfetto.dev) or chrome://tracing to see single agents."
    )
    if timeline.clock_error_s is None:
        return note
    return (
        f"{note} The clocks of other machines are estimated to within "
        f"{1000 * timeline.clock_error_s:,.1f} ms."
    )
