"""``agentos library``: the models that may work on tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from agentos.tasks.library import ModelCard
    from agentos.tasks.library.library_folder import State

library = typer.Typer(
    name="library",
    help="Keep the models that may work on tasks, with a card for each.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="DIR",
        help="Folder of the library; default: ~/.local/share/agentos.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model in the library.")]


@library.command(name="list", short_help="List the models.")
def list_models(
    folder: Folder = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Load every model, and compare its weights with the card's digest."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the models, and whether their folders are there.

    With --check the command fails if a model is missing, cannot be read, or has other weights.
    """
    from agentos.tasks.library.card import Library
    from agentos.tasks.library.library_folder import library_file, state_of

    path = library_file(folder)
    cards = Library.load(path).cards
    states = [state_of(card, weights=check) for card in cards]
    if as_json:
        models = [
            {**card.model_dump(mode="json"), "state": state}
            for card, state in zip(cards, states, strict=True)
        ]
        _print(json.dumps({"library": str(path), "models": models}, indent=2))
    elif cards:
        _print(_table(cards, states))
    else:
        _print(f"{path} holds no model; add one with: agentos library add DIR")
    if check and any(state != "present" for state in states):
        raise typer.Exit(1)


@library.command(short_help="Show the card of a model.")
def show(name: Name, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show the card of a model, after its weights were compared with their digest."""
    from rich.table import Table
    from rich.text import Text

    from agentos.tasks.library.card import Library
    from agentos.tasks.library.library_folder import library_file, state_of

    models = Library.load(library_file(folder))
    card = models.find(name)
    copies = [each for each in models.origins()[card.origin] if each != name]
    shown: dict[str, Any] = {
        **card.model_dump(mode="json"),
        "flops_per_token": card.flops_per_token,
        "copies": copies,
        "state": state_of(card, weights=True),
    }
    if as_json:
        _print(json.dumps(shown, indent=2))
        return
    table = Table.grid(padding=(0, 2))
    for field, value in shown.items():
        table.add_row(field.replace("_", " "), Text(_text(value)))
    _print(table)


@library.command(short_help="Add the agents of a run, or a model.")
def add(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Run folders, and folders of transformers or sentence-transformers.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the only model, or of the run; default: the folder's name."),
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Add every agent of a finished run, or the model in a folder; each is loaded once.

    Example: agentos library add runs/quickstart ./all-MiniLM-L6-v2
    """
    from agentos.tasks.library.card import Library
    from agentos.tasks.library.library_folder import cards_of, changing, library_file
    from protocols.errors import ConfigurationError

    if name is not None and len(paths) > 1:
        raise ConfigurationError(
            "one name is given for several folders",
            expected="one folder with --name",
            actual=f"{len(paths)} folders",
            hint="add them one after the other",
        )
    cards = [card for path in paths for card in cards_of(path, name)]
    path = library_file(folder)
    with changing(path):
        models = Library.load(path).add(cards)
        models.save(path)
    if as_json:
        _print(json.dumps([card.model_dump(mode="json") for card in cards], indent=2))
        return
    for card in cards:
        copies = [each for each in models.origins()[card.origin] if each != card.name]
        note = f" (the weights of {', '.join(copies)})" if copies else ""
        _print(f"added {card.name}: {card.parameters:,} parameters{note}")


@library.command(short_help="Remove models; their folders stay.")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names in the library.")],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Remove models from the library; their folders stay as they are."""
    from agentos.tasks.library.card import Library
    from agentos.tasks.library.library_folder import changing, library_file

    path = library_file(folder)
    with changing(path):
        models = Library.load(path)
        for name in names:
            models = models.remove(name)
        models.save(path)
    if as_json:
        _print(json.dumps({"removed": names, "left": len(models.cards)}))
        return
    _print(f"removed {', '.join(names)}; {len(models.cards)} left")


def _table(cards: tuple[ModelCard, ...], states: list[State]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    table.add_column("model", overflow="fold")
    for heading in ("parameters", "width", "context", "FLOPs/token"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for card, state in zip(cards, states, strict=True):
        figures = (card.parameters, card.width, card.context, card.flops_per_token)
        table.add_row(
            Text(card.name),
            *(f"{figure:,}" for figure in figures),
            Text(card.origin[:8]),
            Text(state, style="green" if state == "present" else "red"),
        )
    return table


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each:.4g}" for key, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def _print(shown: Any) -> None:
    from agentos.cli.display.console import SafeConsole

    SafeConsole().print(shown, soft_wrap=isinstance(shown, str), markup=False, highlight=False)
