"""``agentos list``: every kind of every extension point, and the ready-made runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.config.load import ready_made
from protocols.spec import Spec

_PAPER = re.compile(r"Sources?: (?P<paper>.*?\b(?:19|20)\d\d)\b")
"""The first paper that a docstring cites: authors, title, year."""


def show_kinds(console: Console) -> None:
    """Print every kind of every extension point: a line of help, its parameters and its paper."""
    from agentos.data.partition import PARTITIONS
    from agentos.data.sources import SOURCES
    from agentos.evaluation import TASKS
    from agentos.rounds.clock.config import MODES
    from agentos.rounds.clock.distributions import QUANTITIES
    from agentos.rounds.faults import FAULTS
    from agentos.runtime import RUNTIMES
    from agents.config import PRESETS
    from agents.exchange import EXCHANGES
    from agents.exchange.anchors.label_fusion import FUSIONS
    from agents.exchange.trust import TRUST
    from agents.objectives import OBJECTIVES
    from agents.views import VIEWS
    from protocols.codecs import CODECS
    from protocols.topologies import TOPOLOGIES

    tables: dict[str, Mapping[str, type[Spec]]] = {
        "data.source": SOURCES,
        "data.partition": PARTITIONS,
        "topology": TOPOLOGIES,
        "objectives": OBJECTIVES,
        "objectives.views": VIEWS,
        "exchange": EXCHANGES,
        "exchange.codec": CODECS,
        "exchange.fusion": FUSIONS,
        "exchange.trust": TRUST,
        "evaluation.tasks": TASKS,
        "runtime": RUNTIMES,
        "clock.mode": MODES,
        "clock.speed, latency_s, bytes_per_s": QUANTITIES,
        "faults": FAULTS,
    }
    for point, kinds in tables.items():
        _print_kinds(console, point, {kind: help_text(cls) for kind, cls in kinds.items()})
    presets = {
        name: f"{'GPT-2' if s.decoder else 'BERT'}, {s.layers} layers x {s.width}"
        for name, s in PRESETS.items()
    }
    _print_kinds(console, "agents.encoder.preset", presets)
    runs = {name: _first_comment(path) for name, path in ready_made().items()}
    _print_kinds(console, "ready-made runs", runs)


def _print_kinds(console: Console, title: str, lines: Mapping[str, str]) -> None:
    console.print(f"[bold]{title}[/]")
    table = Table.grid(padding=(0, 2))
    for kind, text in lines.items():
        table.add_row(f"  [cyan]{kind}[/]", escape(text))
    console.print(table)


def help_text(cls: type[Spec]) -> str:
    """Return the first line of a class's docstring, its parameters, and its paper if it names one.

    Example:
        >>> from agents.exchange import EXCHANGES
        >>> help_text(EXCHANGES["fedprox"]).rpartition("[")[2]
        'Li et al., Federated Optimization in Heterogeneous Networks, 2020]'
    """
    names = [name for name in cls.model_fields if name != "kind"]
    text = inspect.cleandoc(cls.__doc__ or "")
    paper = _PAPER.search(" ".join(text.split()))
    line = text.split("\n")[0]
    line += f" ({', '.join(names)})" if names else ""
    return line + (f" [{paper['paper']}]" if paper else "")


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""
