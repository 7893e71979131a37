"""The table of compared runs in groups, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.evaluation.base import Metric
from agentos.reporting.setting_groups import GroupedRuns, SettingGroup
from agentos.reporting.statistics import interval_text
from agentos.reporting.units import ABSENT, bytes_text, metric_text

MOST_GROUPS = 15
"""Lines of a table that stays under a screen, with room for settings that take two lines."""
MOST_FIELDS = 4
"""Settings that fit next to the figures."""


def show_groups(console: Console, grouped: GroupedRuns) -> None:
    """Print a line per setting, the best first, then what the table leaves out."""
    runs = sum(len(group.runs) for group in grouped.groups)
    settings = len(grouped.groups)
    title = f"{runs:,} run{'s' * (runs != 1)}, {settings:,} setting{'s' * (settings != 1)}"
    table = Table(title=title, title_justify="left", show_edge=False)
    shown = grouped.fields[:MOST_FIELDS]
    for field in shown:
        table.add_column(escape(field), overflow="fold")
    headings = ["runs", "bytes"]
    if grouped.metric is not None:
        headings[1:1] = [
            f"{grouped.metric.title} {grouped.metric.arrow} mean ± 95 %",
            "worst",
            "alone",
        ]
    for heading in headings:
        table.add_column(heading, justify="right")
    for group in grouped.groups[:MOST_GROUPS]:
        settings_of = [escape(group.settings[field]) for field in shown]
        table.add_row(*settings_of, *_figures(group, grouped.metric))
    console.print(table)
    console.print(f"{grouped.sample}; ± 95 %: interval over runs", style="dim", highlight=False)
    left_out = {"settings": settings - MOST_GROUPS, "fields": len(grouped.fields) - MOST_FIELDS}
    for what, count in left_out.items():
        if count > 0:
            console.print(f"{count:,} more {what}: see --json, or the charts", highlight=False)


def _figures(group: SettingGroup, metric: Metric | None) -> list[str]:
    cells = [f"{len(group.runs):,}"]
    if metric is not None:
        mean = group.mean.get(metric.name)
        cells += [
            ABSENT if mean is None else interval_text(mean, metric),
            metric_text(group.worst.get(metric.name), metric),
            metric_text(group.isolated.get(metric.name), metric),
        ]
    return [*cells, bytes_text(group.spent["bytes"]) if "bytes" in group.spent else ABSENT]
