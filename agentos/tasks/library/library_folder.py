"""The folder in which a user keeps a library, and whether its models are still what their cards say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock

from agentos.records.atomic_files import writing
from agentos.tasks.library.card import Library, ModelCard
from agentos.tasks.library.reading import read_cards
from protocols.errors import AgentOSError, ConfigurationError

State = Literal["present", "missing", "changed", "unreadable"]
FILE = "library.json"


def library_file(folder: Path | None = None) -> Path:
    """Return the file of a library; without a folder that of the user, ~/.local/share/agentos."""
    home = Path.home() / ".local" / "share" / "agentos"
    return (home if folder is None else folder.expanduser()) / FILE


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Keep other processes from changing a library meanwhile; its folder is made if there is none.

    Raises:
        RecordError: the folder cannot be written to.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cards_of(path: Path, name: str | None = None) -> list[ModelCard]:
    """Return the cards of a run or of a model's folder, with absolute paths.

    Args:
        path: the folder.
        name: name of the model, or instead of the run's name in those of its agents.

    Raises:
        ConfigurationError: the folder is no such folder, or has saved no encoders.
        RecordError: the run folder is damaged.
        ModelError: a model cannot be used.
    """
    cards = read_cards(path.expanduser().resolve())
    if name is None:
        return cards
    return [
        card.model_copy(update={"name": name if card.run is None else f"{name}/agent-{card.agent}"})
        for card in cards
    ]


def state_of(card: ModelCard, weights: bool = False) -> State:
    """Return whether a model is still there.

    Args:
        card: its card.
        weights: whether to load it and compare the digest of its weights, too.
    """
    folder = Path(card.path)
    if not folder.is_dir():
        return "missing"
    if not weights:
        return "present"
    try:
        (found,) = read_cards(folder)
    except AgentOSError:
        return "unreadable"
    return "present" if found.origin == card.origin else "changed"


def require_present(library: Library) -> None:
    """Refuse a library that has lost a folder.

    Raises:
        ConfigurationError: one is.
    """
    gone = [card for card in library.cards if state_of(card) == "missing"]
    if gone:
        raise ConfigurationError(
            f"the folder of the model {gone[0].name!r} is gone",
            expected=gone[0].path,
            actual=f"{len(gone)} of {len(library.cards)} models without a folder",
            hint="put the folder back, or run 'agentos library remove' with the model's name",
        )
