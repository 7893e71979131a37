"""The table of a new agent's results, its elders' and those of one that starts from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from agentos.records.layout import HELDOUT
from agentos.records.reader import load_run
from agentos.reporting.units import ABSENT, metric_text

if TYPE_CHECKING:
    from agentos.evaluation.base import Metric
    from agentos.learning.transfer import Transfer


def show_transfer(console: Console, found: Transfer) -> None:
    """Print a row for each metric, and the share of the elders' quality that each new agent reaches."""
    columns = rows_of(found)
    table = Table()
    table.add_column("")
    for name, _, _ in columns:
        table.add_column(name, justify="right")
    table.add_row("tokens", *(f"{tokens:,.0f}" for _, tokens, _ in columns))
    for metric in found.metrics:
        if not metric.minor and metric.name in found.taught:
            cells = [_cell(values, found.elders, metric) for _, _, values in columns]
            table.add_row(metric.label, *cells)
    console.print(table)
    documents = load_run(found.directory).environment.get(HELDOUT)
    told = "in brackets: relative to the elders' mean"
    if documents:
        told += f"; measured on up to {documents:,} held-out documents, under one seed"
    console.print(told, style="dim", highlight=False)
    share = f"{found.token_share:.0%} of an elder's tokens"
    console.print(
        f"the new agent was trained on {share}; its run: {found.directory}", soft_wrap=True
    )


def rows_of(found: Transfer) -> list[tuple[str, float, Any]]:
    """Return a name, the tokens and the metrics of elders, the new agent, and the one from scratch."""
    return [
        ("elders (mean)", found.elder_tokens, found.elders),
        ("new agent", found.taught_tokens, found.taught),
        ("from scratch", found.scratch_tokens, found.scratch),
    ]


def transfer_json(found: Transfer) -> dict[str, Any]:
    """Return the comparison as JSON values."""
    return {
        "elders": {"tokens": found.elder_tokens, "metrics": dict(found.elders)},
        "taught": {"tokens": found.taught_tokens, "metrics": dict(found.taught)},
        "scratch": {"tokens": found.scratch_tokens, "metrics": dict(found.scratch)},
        "token_share": found.token_share,
        "directory": str(found.directory),
    }


def _cell(values: Any, elders: Any, metric: Metric) -> str:
    if metric.name not in values:
        return ABSENT
    own, theirs = float(values[metric.name]), float(elders.get(metric.name, 0.0))
    text = metric_text(own, metric)
    if values is elders or not metric.higher_is_better or theirs <= 0:
        return text
    return f"{text} ({own / theirs:.0%})"
