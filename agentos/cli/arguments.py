"""Arguments and options that several commands share."""

from __future__ import annotations

import glob
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def complete_sources(incomplete: str) -> list[str]:
    """Return the ready-made runs that begin so; shells add files themselves."""
    from agentos.config.load import ready_made

    return [name for name in ready_made() if name.startswith(incomplete)]


def complete_overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the fields of a run, or the values of one, that begin so."""
    from agentos.config.completion import completed_overrides

    return completed_overrides(incomplete, ctx.params.get("overrides") or ())


def complete_task_overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the fields of a task, or the values of one, that begin so."""
    from agentos.config.completion import completed_overrides
    from agentos.tasks.config import Task

    return completed_overrides(incomplete, ctx.params.get("overrides") or (), Task)


def complete_runs(incomplete: str) -> list[str]:
    """Return the names of runs under runs/ that begin so; shells add folders themselves."""
    from agentos.records.identity.removal import is_run_folder

    found = sorted(Path("runs").glob(f"{glob.escape(incomplete)}*"))
    return [folder.name for folder in found if is_run_folder(folder)]


def complete_points(incomplete: str) -> list[str]:
    """Return the extension points that begin so."""
    from agentos.cli.display.kinds import points

    return [point for point in points() if point.startswith(incomplete)]


Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_NAME",
        help="A YAML file, or the name of a ready-made run.",
        autocompletion=complete_sources,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY.PATH=VALUE",
        help="Fields to change, such as topology.kind=layered agents.count=12.",
        autocompletion=complete_overrides,
    ),
]


def _with_working_directory(names: list[str] | None) -> list[str] | None:
    """Let the modules of trusted packages be found in the working directory, after all others."""
    if names and (folder := os.getcwd()) not in sys.path:
        sys.path.append(folder)
    return names


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TrustedPlugins = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-plugins",
        metavar="PACKAGE",
        envvar="AGENTOS_TRUST_PLUGINS",
        help="A package or module whose classes may be imported as kinds, kind: package.module:Class; "
        "may be repeated. Without it, no configuration and no run folder imports code.",
        callback=_with_working_directory,
        show_envvar=False,
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
Point = Annotated[
    str | None,
    typer.Argument(
        metavar="POINT",
        help="An extension point, such as topology or codec; default: all of them.",
        autocompletion=complete_points,
    ),
]
SchemaOf = Annotated[
    Literal["run", "task", "sweep"],
    typer.Argument(metavar="FILE", help="What is described: run, task or sweep."),
]
Out = Annotated[Path | None, typer.Option(help="Run folder; default: a new one under runs/.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster to join, such as auto.")
]
Profiled = Annotated[
    bool,
    typer.Option("--profile", help="Record the time of every phase on every host: trace.json."),
]
Live = Annotated[
    bool,
    typer.Option("--live", help="Serve a live page of the run, as 'agentos watch' does."),
]
ChangedDataOk = Annotated[
    bool,
    typer.Option(
        "--changed-data-ok",
        help="Go on although text, tokenizer, encoders or files are not those that the run read.",
    ),
]
Among = Annotated[
    str | None,
    typer.Option(
        metavar="all|neighbours|copies",
        help="With --joint: agents that answer with an agent; default: as in the run, otherwise all.",
        show_default=False,
    ),
]
JointWidth = Annotated[
    int | None,
    typer.Option(
        "--pca",
        min=0,
        help="With --joint: width after a PCA fitted on public texts, 0 for none; default: as in the run.",
        show_default=False,
    ),
]
TaskFile = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A YAML file of a task."),
]
TaskOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY.PATH=VALUE",
        help="Fields to change, such as topology.kind=layered defer.budget=0.2.",
        autocompletion=complete_task_overrides,
    ),
]
TaskOut = Annotated[
    Path | None, typer.Option(help="Folder of the records; default: runs/NAME of the task.")
]
