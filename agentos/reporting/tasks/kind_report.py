"""The report of a task of any kind: one page that opens offline."""

from __future__ import annotations

from pathlib import Path

from agentos.records.layout import REPORT
from agentos.reporting.charts.plotting import Chart, colour, label
from agentos.reporting.page import write_page
from agentos.reporting.tasks.task_report import write_task_report
from agentos.reporting.units import ABSENT, bytes_text, count_text, short_seconds
from agentos.tasks.society.parts_society import PARTS
from agentos.tasks.solving.composite_task import SolvedParts
from agentos.tasks.solving.kind_outcome import LEXICAL, Finished, Table, Way
from agentos.tasks.solving.run_task import Solved
from agentos.tasks.solving.solve_any import AnySolved

_NAMES = {
    LEXICAL: "words",
    "single": "alone",
    "reciprocal_rank": "ranks",
    "z_score": "scores",
}
_NOTES = {
    "rank": "Quality of the ten best documents, agents asked, and what a query costs: FLOPs, bytes, seconds "
    "simulated with all queries asked at once, and real on one core. “words” is BM25; “alone” is one agent "
    "that holds all documents.",
    "generate": "Perplexity of held-out texts (lower is better), decoders asked, and what a token costs: "
    "FLOPs, bytes, seconds simulated, and real on one core. “words” counts the tokens of the texts to choose "
    "with; “alone” is the decoder that is best there.",
}


def headings_of(finished: Finished) -> tuple[str, ...]:
    """Return the headings of the table of ways."""
    quality = (measure.label for measure in finished.measures)
    return ("who", *quality, "asked", "FLOPs", "bytes", "sim.", "real")


def cells_of(finished: Finished, way: Way) -> tuple[str, ...]:
    """Return the cells of a way under `headings_of`."""
    works = way.name != LEXICAL
    mark = " *" if way.name == finished.chosen else ""
    return (
        _NAMES.get(way.name, way.name) + mark,
        *(measure.text(way.measures[measure.name]) for measure in finished.measures),
        f"{way.asked:.2f}" if works else ABSENT,
        count_text(way.flops) if works else ABSENT,
        bytes_text(way.payload_bytes) if works else ABSENT,
        short_seconds(way.simulated_s) if works else ABSENT,
        short_seconds(way.measured_s) if works or way.measured_s else ABSENT,
    )


def note_of(finished: Finished) -> str:
    """Return what the table of ways shows."""
    return f"{_NOTES[finished.kind]} The row with a star answers from now on."


def parts_table(solved: SolvedParts) -> Table:
    """Return the table of a composite's parts."""
    rows = []
    for part in solved.parts:
        measure, found, alone = part.quality
        rows.append((part.name, part.kind, part.reads, measure, found, alone or ABSENT))
    note = "What each part reaches, and what it reaches when it reads the text alone."
    return Table(
        "Parts", note, ("part", "kind", "reads", "measure", "value", "text alone"), tuple(rows)
    )


def write_any_report(solved: AnySolved) -> Path:
    """Write ``report.html`` into the folder of a solved task of any kind; return its path.

    Raises:
        RecordError: the folder cannot be written to.
    """
    if isinstance(solved, Solved):
        return write_task_report(solved)
    if isinstance(solved, Finished):
        ways = Table(
            "Ways to answer",
            note_of(solved),
            headings_of(solved),
            tuple(cells_of(solved, way) for way in solved.ways),
        )
        chart = _quality_against_flops(solved)
        return _page(solved, (ways, *solved.tables), f"{solved.tested:,} test items.", chart)
    for part in solved.parts:
        for found in (part.solved, part.plain):
            if found is not None:
                write_any_report(found)
    note = f"Every part has a report of its own, in {PARTS}/."
    return _page(solved, (parts_table(solved),), note, None)


def _page(
    solved: Finished | SolvedParts, tables: tuple[Table, ...], note: str, chart: Chart | None
) -> Path:
    return write_page(
        solved.directory / REPORT,
        "kind.html.j2",
        charts=[] if chart is None else [chart],
        name=solved.name,
        verdict=solved.verdict,
        note=note,
        tables=[table for table in tables if table.rows],
        chart=chart,
    )


def _quality_against_flops(finished: Finished) -> Chart:
    """Return a point for each way to answer, and a line for words alone."""
    ways, measure = [way for way in finished.ways if way.name != LEXICAL], finished.measures[0]
    traces = [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": label(_NAMES.get(way.name, way.name)),
            "x": [way.flops],
            "y": [way.measures[measure.name]],
            "text": [label(_NAMES.get(way.name, way.name))],
            "textposition": "top center",
            "marker": {"size": 11, "color": colour(number)},
        }
        for number, way in enumerate(ways)
    ]
    words = finished.way(LEXICAL)
    if words is not None:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": _NAMES[LEXICAL],
                "x": [min(way.flops for way in ways), max(way.flops for way in ways)],
                "y": [words.measures[measure.name]] * 2,
                "line": {"dash": "dot", "color": "--alone"},
            }
        )
    axis = {"tickformat": ".0%"} if measure.percent else {"type": "log"}
    return Chart(
        id="quality",
        title=f"{measure.label} against FLOPs",
        caption=f"Each point is a way to answer; the FLOPs are those of one {finished.unit}.",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": f"FLOPs a {finished.unit}"}, "type": "log"},
            "yaxis": axis,
            "showlegend": True,
        },
        height_px=420,
    )
