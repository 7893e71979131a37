"""``agentos list``: every kind of every extension point, and the ready-made runs."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.config.load import ready_made
from protocols.errors import ConfigurationError
from protocols.plugins import GROUP, announced
from protocols.spec import Spec

_PAPER = re.compile(
    r"Sources?: (?P<authors>[^,.:;]+?(?: et al\.)?), (?P<title>.+?), (?P<year>(?:19|20)\d\d)\b"
)
"""The first paper that a docstring cites, as ``Author et al., Title, Year``."""

PRESETS_POINT, RUNS_POINT, PLUGINS_POINT = "agents.encoder.preset", "ready-made runs", "plugins"

NO_PLUGINS = f"No installed package announces kinds in the entry points of {GROUP}."


def show_kinds(console: Console, point: str | None = None) -> None:
    """Print every kind of every extension point: a line of help and its paper.

    Args:
        console: the console to print to.
        point: print only this extension point, with the parameters of its kinds: a title, or its last part.

    Raises:
        ConfigurationError: there is no such extension point.
    """
    for title, kinds in kinds_of(point).items():
        lines = {
            kind: about["help"]
            + _shows(about.get("shows"))
            + (_parameters(about["parameters"]) if point else "")
            for kind, about in kinds.items()
        }
        _print_kinds(console, title, lines or {"none": NO_PLUGINS})


def kinds_of(point: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the kinds of every extension point, or of one: a line of ``help``, and ``parameters``.

    Raises:
        ConfigurationError: there is no such extension point.
    """
    tables = extension_points()
    others: dict[str, Callable[[], dict[str, str]]] = {
        PRESETS_POINT: _presets,
        RUNS_POINT: lambda: {name: _first_comment(path) for name, path in ready_made().items()},
        PLUGINS_POINT: lambda: {entry.name: entry.value for entry in announced()},
    }
    titles = [*tables, *others]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for title in titles if point is None else _matching(point, titles):
        if title in others:
            lines = others[title]()
            found[title] = {kind: {"help": text, "parameters": []} for kind, text in lines.items()}
        else:
            found[title] = {
                kind: {"help": help_text(cls), "parameters": _fields(cls), **_shown(cls)}
                for kind, cls in tables[title].items()
            }
    return found


def points() -> list[str]:
    """Return every extension point by the last part of its title, as `agentos list` takes it."""
    titles = [*extension_points(), PRESETS_POINT, RUNS_POINT, PLUGINS_POINT]
    return list(dict.fromkeys(_names(title)[-1] for title in titles))


def _matching(point: str, titles: Sequence[str]) -> list[str]:
    """Return the titles that a point names in full or by a last part, such as ``codec``."""
    names = {title: _names(title) for title in titles}
    found = [title for title in titles if point in names[title]]
    if found:
        return found
    known = [name for title in titles for name in names[title]]
    closest = difflib.get_close_matches(point, known, n=1)
    raise ConfigurationError(
        f"there is no extension point {point!r}",
        expected=f"one of {'; '.join(titles)}",
        hint=f"did you mean {closest[0]!r}?" if closest else "run 'agentos list' without a name",
    )


def _names(title: str) -> tuple[str, ...]:
    parent, _, last = title.rpartition(".")
    parts = last.split(", ")
    return (title, *parts, *(f"{parent}.{part}" for part in parts), last.rpartition(" ")[2])


def extension_points() -> Mapping[str, Mapping[str, type[Spec]]]:
    """Return the table of kinds of every extension point."""
    return {**_tables(), **_tables_of_tasks()}


def _tables() -> Mapping[str, Mapping[str, type[Spec]]]:
    from agentos.data.partition import PARTITIONS
    from agentos.data.sources import SOURCES
    from agentos.evaluation import TASKS
    from agentos.events.trackers import TRACKERS
    from agentos.rounds.clock.config import MODES
    from agentos.rounds.clock.distributions import QUANTITIES
    from agentos.rounds.faults import FAULTS
    from agentos.runtime import RUNTIMES
    from agents.exchange import EXCHANGES
    from agents.exchange.anchors.label_fusion import FUSIONS
    from agents.exchange.trust import TRUST
    from agents.objectives import OBJECTIVES
    from agents.views import VIEWS
    from protocols.codecs import CODECS
    from protocols.topologies import TOPOLOGIES

    return {
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
        "trackers": TRACKERS,
    }


def _tables_of_tasks() -> Mapping[str, Mapping[str, type[Spec]]]:
    from agentos.tasks.decomposition import DECOMPOSITIONS
    from agentos.tasks.kinds import TASK_KINDS
    from agentos.tasks.kinds.collections import COLLECTIONS
    from agentos.tasks.scheduling import SCHEDULERS
    from agentos.tasks.selection import SELECTIONS
    from agents.answering import ADAPTATIONS, DEFERRALS, FUSIONS

    return {
        "task file.task": TASK_KINDS,
        "task file.collection": COLLECTIONS,
        "task file.decompose": DECOMPOSITIONS,
        "task file.select": SELECTIONS,
        "task file.adapt": ADAPTATIONS,
        "task file.schedule": SCHEDULERS,
        "task file.defer": DEFERRALS,
        "task file.fuse": FUSIONS,
    }


def _presets() -> dict[str, str]:
    from agents.config import PRESETS

    return {
        name: f"{'GPT-2' if s.decoder else 'BERT'}, {s.layers} layers x {s.width}"
        for name, s in PRESETS.items()
    }


def _print_kinds(console: Console, title: str, lines: Mapping[str, str]) -> None:
    console.print(f"[bold]{title}[/]")
    table = Table.grid(padding=(0, 2))
    for kind, text in lines.items():
        table.add_row(f"  [cyan]{kind}[/]", escape(text))
    console.print(table)


def help_text(cls: type[Spec]) -> str:
    """Return the first line of a class's docstring, and its paper unless that line names it.

    Example:
        >>> from protocols.topologies import TOPOLOGIES
        >>> help_text(TOPOLOGIES["small_world"]).rpartition("[")[2]
        'Watts and Strogatz 1998]'
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    line = text.split("\n")[0]
    paper = _PAPER.search(" ".join(text.split()))
    if paper is None:
        return line
    first_author = re.split(r" and | et al", paper["authors"])[0]
    if first_author in line and paper["year"] in line:
        return line
    return f"{line} [{paper['authors']} {paper['year']}]"


def _fields(cls: type[Spec]) -> list[str]:
    return [name for name in cls.model_fields if name != "kind"]


def _shown(cls: type[Spec]) -> dict[str, list[str]]:
    """Return what the messages of an exchange are computed from at its defaults; nothing for other kinds.

    A strategy that has no defaults for all its fields is asked without validation.
    """
    from agents.exchange import Exchange
    from agents.exchange.hybrid import Hybrid

    if not issubclass(cls, Exchange) or issubclass(cls, Hybrid):
        return {}
    return {"shows": sorted(cls.model_construct(kind="").shows or ())}


def _shows(shown: Sequence[str] | None) -> str:
    return "" if shown is None else f" (shows {', '.join(shown) or 'nothing'})"


def _parameters(names: Sequence[str]) -> str:
    return f"\nparameters: {', '.join(names)}" if names else ""


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""
