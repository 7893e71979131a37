"""A moment of a society in which nobody waits, on disk: to go on from after a crash.

Messages are under way at any time. Those that somebody may still merge are written beside the agents' states,
with where every agent stands and what is known of rounds that are not over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentos.rounds.mailbox import Letter
from protocols.errors import RecordError

if TYPE_CHECKING:
    from agentos.records.checkpoints import Checkpoint
    from agentos.runtime import Session

MOMENT, MESSAGES = "moment.safetensors", "messages.bin"


def write_snapshot(
    folder: Path, session: Session, values: Mapping[str, Any], letters: Sequence[Letter]
) -> dict[str, str]:
    """Write a moment into the folder of a checkpoint; return the SHA-256 of each file by its name.

    Args:
        folder: of the checkpoint.
        session: hosts, the first of which writes the messages.
        values: containers of plain values and arrays.
        letters: that are under way.

    Raises:
        RecordError: the folder cannot be written to.
    """
    from agentos.records.atomic_files import writing
    from agents.hosting.state_file import save_tree

    handles, places = outboxes_of(letters)
    said = list(dict.fromkeys(places))  # what was said to several is written once
    host = session.hosts[0]
    messages, sizes = session.call("save_messages", {host: (handles, said, folder / MESSAGES)})[
        host
    ]
    number = {place: index for index, place in enumerate(said)}
    rows = [
        (each.sender, each.receiver, each.hop, each.round, each.arrival_s, number[place])
        for each, place in zip(letters, places, strict=True)
    ]
    with writing(folder):
        written = {**values, "letters": rows, "sizes": sizes}
        moment = save_tree(_plain(written), folder / MOMENT)
    return {MOMENT: moment, MESSAGES: messages}


def read_snapshot(checkpoint: Checkpoint, session: Session) -> tuple[dict[str, Any], list[Letter]]:
    """Return values and letters of a moment; its messages are under way again.

    Raises:
        RecordError: a file is missing or damaged.
    """
    from agents.hosting.state_file import load_tree

    folder, files = checkpoint.directory, checkpoint.manifest.files
    with reading(checkpoint):
        values = load_tree(folder / MOMENT, dict, files[MOMENT])
        rows, sizes, messages = values.pop("letters"), values.pop("sizes"), files[MESSAGES]
    host = session.hosts[0]
    outbox = session.call("reload_messages", {host: (folder / MESSAGES, messages, sizes)})[host]
    with reading(checkpoint):
        return values, [
            Letter(sender, receiver, hop, round, arrival_s, outbox.handle, index)
            for sender, receiver, hop, round, arrival_s, index in rows
        ]


@contextmanager
def reading(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn what is missing or wrong in a moment into an error that names the file."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"the checkpoint {checkpoint.directory / MOMENT} is damaged",
            expected="what a run with clock.mode=asynchronous wrote",
            actual=f"{type(error).__name__} {error}",
            hint="resume from an earlier round with --round, or run again",
        ) from error


def outboxes_of(letters: Sequence[Letter]) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return the outboxes that letters lie in, and the place of each: (outbox, index within it)."""
    handles: list[Any] = []
    position: dict[int, int] = {}
    for letter in letters:
        if id(letter.handle) not in position:
            position[id(letter.handle)] = len(handles)
            handles.append(letter.handle)
    return handles, [(position[id(letter.handle)], letter.index) for letter in letters]


def _plain(value: Any) -> Any:
    """Return a value with Python's numbers in the place of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value
