"""``agentos plan``: who would do what when, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentos.cli.arguments import Overrides


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file with a task.")],
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Page with a Gantt picture, such as plan.html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Select models, divide a task and schedule it; print who would do what, and what it costs.

    Only the texts to fit on are embedded.

    Example: agentos plan task.yaml decompose.kind=shards schedule.kind=greedy --out plan.html
    """
    from pydantic import ValidationError

    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.plan_table import show_plan
    from agentos.config.field_errors import InvalidConfiguration, explain
    from agentos.config.load import apply_overrides, read_yaml
    from agentos.reporting.plan_page import write_plan
    from agentos.tasks.candidates import candidates, library_of, planned, task_texts
    from agentos.tasks.plan_config import PlanConfig

    raw = apply_overrides(read_yaml(file), overrides or [], PlanConfig)
    raw.setdefault("name", file.stem)
    try:
        config = PlanConfig.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(str(file), explain(error, PlanConfig)) from error
    cards = library_of(config.library).cards
    texts = task_texts(config.task, config.splits, config.seed)
    found = planned(config, candidates(cards, texts, config.task.max_length), texts)
    if out is not None:
        write_plan(out, config.name, found)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    console = SafeConsole()
    show_plan(console, found)
    if out is not None:
        console.print(f"page: {out}", soft_wrap=True, markup=False, highlight=False)
