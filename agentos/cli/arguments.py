"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[
    str,
    typer.Argument(metavar="FILE_OR_NAME", help="A YAML file, or the name of a ready-made run."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY.PATH=VALUE]...",
        help="Fields to change, such as topology.kind=layered agents.count=12.",
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; default: a new one under runs/.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster to join, such as auto.")
]
Profiled = Annotated[
    bool,
    typer.Option("--profile", help="Record the time of every phase on every host: trace.json."),
]
