"""``agentos plan``: who would do what when, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentos.cli.arguments import AsJson, TaskFile, TaskOverrides, TrustedPlugins


def plan(
    file: TaskFile,
    overrides: TaskOverrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Page with a Gantt picture, such as plan.html.")
    ] = None,
    as_json: AsJson = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Select models, divide a task and schedule it; print who would do what, and what it costs.

    Only the texts to fit on are embedded.

    Example: agentos plan task.yaml decompose.kind=shards schedule.kind=greedy --out plan.html
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.plan_table import show_plan
    from agentos.config.task_file import load_labelled_task
    from agentos.reporting.tasks.plan_page import write_plan
    from agentos.tasks.solving.candidates import candidates, planned, task_texts
    from agentos.tasks.solving.workbench import cards_of

    config = load_labelled_task(file, overrides or [], trust_plugins)
    texts = task_texts(config)
    cards = cards_of(config.library, lambda _: None)
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
