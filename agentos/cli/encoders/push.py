"""``agentos push``: an agent's encoder goes to the Hugging Face hub, with its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from agentos.cli.arguments import AsJson, Directory

if TYPE_CHECKING:
    from rich.console import Console


class Hub(Protocol):
    """The part of `huggingface_hub.HfApi` that a push needs."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> object:
        """Make a repository, unless it is there."""

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> object:
        """Upload the files of a folder in one commit."""


def push(
    run: Directory,
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="Repository on the hub.")],
    agent: Annotated[int, typer.Option(min=0, help="Agent of the run.", show_default=True)] = 0,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody read a repository that is new.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and the card; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload an agent's encoder to the Hugging Face hub, with a card: its training and its result.

    A new repository is private, unless --public is given. Log in before, with 'hf auth login'.

    Example: agentos push runs/quickstart --agent 2 --repo me/reader --dry-run
    """
    import tempfile

    from agentos.cli.display.console import SafeConsole

    require_repo(repo)
    console = SafeConsole()
    with tempfile.TemporaryDirectory(prefix="agentos-push-") as scratch:
        folder = Path(scratch) / "encoder"
        stage(run, agent, folder)
        found = {"repo": repo, "pushed": not dry_run, "files": files_of(folder)}
        if dry_run and not as_json:
            show_files(console, folder, repo)
            return
        if not dry_run:
            from huggingface_hub import HfApi

            upload(HfApi(), folder, repo, private=not public)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console.print(f"pushed: https://huggingface.co/{repo}", soft_wrap=True, markup=False)


def require_repo(repo: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        ConfigurationError: it is not USER/NAME as the hub allows it.
    """
    import re

    from protocols.errors import ConfigurationError

    part = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
    if not re.fullmatch(f"{part}/{part}", repo) or "--" in repo or ".." in repo:
        raise ConfigurationError(
            f"{repo!r} is no repository of the hub",
            expected="USER/NAME of letters, digits, and single . _ - between them",
            actual=repo,
            hint="such as --repo me/reader",
        )


def stage(run: Path, agent: int, folder: Path) -> None:
    """Copy an agent's encoder into a folder, and write its card.

    Raises:
        ConfigurationError: the run has saved no encoder of this agent.
        RecordError: it is no run folder, or a link leads out of it.
    """
    import shutil

    from agentos.records.atomic_files import writing
    from agentos.records.saved_encoders import find_encoder
    from agentos.records.views.run_view import load_view
    from agentos.reporting.model_card import CARD, model_card

    view = load_view(run)
    source = find_encoder(run, agent)
    with writing(folder):
        shutil.copytree(source, folder)
        (folder / CARD).write_text(model_card(view, agent), encoding="utf-8", newline="\n")


def upload(hub: Hub, folder: Path, repo: str, *, private: bool) -> None:
    """Make the repository unless it is there, and upload the folder in one commit.

    Raises:
        RuntimeFailure: the hub cannot be reached, or refuses.
    """
    from protocols.errors import RuntimeFailure

    try:
        hub.create_repo(repo, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repo, folder_path=str(folder), commit_message="Upload an encoder of AgentOS"
        )
    except Exception as error:  # the library raises errors of several others
        raise RuntimeFailure(
            f"the encoder could not be pushed to {repo}",
            actual=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}",
            hint="log in with 'hf auth login', and see that the name is yours and the network is there",
        ) from error


def files_of(folder: Path) -> dict[str, int]:
    """Return the bytes of each file that a push sends, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def show_files(console: Console, folder: Path, repo: str) -> None:
    """Print the files that a push would send, and the card."""
    from agentos.reporting.model_card import CARD
    from agentos.reporting.units import bytes_text

    for name, size in files_of(folder).items():
        console.print(f"{bytes_text(size):>8}  {name}", markup=False)
    console.print(f"would go to {repo}; the card:\n", markup=False, highlight=False)
    text = (folder / CARD).read_text(encoding="utf-8")
    console.print(text, markup=False, highlight=False, soft_wrap=True)
