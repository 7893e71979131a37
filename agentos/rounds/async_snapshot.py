"""Snapshot of an asynchronous society on disk, to continue from after a crash.

Messages are in flight at any time. Those that may still be merged are written along with the agents' states,
the progress of every agent, and the rounds that are still open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agentos.records.atomic_files import writing
from agentos.records.checkpoints import Checkpoint
from agentos.rounds.mailbox import InFlight
from agentos.runtime import Session
from agentos.runtime.host_calls import ReloadMessages, SaveMessages
from agents import hosting
from protocols.errors import RecordError

SNAPSHOT, MESSAGES = "snapshot.safetensors", "messages.bin"


def write_snapshot(
    folder: Path, session: Session, values: Mapping[str, Any], messages: Sequence[InFlight]
) -> dict[str, str]:
    """Write a snapshot into the folder of a checkpoint; return the SHA-256 of each file by its name.

    Args:
        folder: the checkpoint's folder.
        session: hosts; the first one writes the messages.
        values: containers of plain values and arrays.
        messages: messages in flight.

    Raises:
        RecordError: the folder cannot be written to.
    """
    handles, places = outboxes_of(messages)
    distinct = list(dict.fromkeys(places))  # a broadcast is written once
    host = session.hosts[0]
    saving = SaveMessages(handles, distinct, folder / MESSAGES)
    messages_sha256, sizes = session.call({host: saving})[host]
    number = {place: index for index, place in enumerate(distinct)}
    rows = [
        (
            each.sender,
            each.receiver,
            each.hop,
            each.round,
            each.arrival_s,
            number[place],
            each.fragment,
        )
        for each, place in zip(messages, places, strict=True)
    ]
    with writing(folder):
        written = {**values, "messages": rows, "sizes": sizes}
        snapshot_sha256 = hosting.save_tree(_plain(written), folder / SNAPSHOT)
    return {SNAPSHOT: snapshot_sha256, MESSAGES: messages_sha256}


def read_snapshot(
    checkpoint: Checkpoint, session: Session
) -> tuple[dict[str, Any], list[InFlight]]:
    """Return the values of a snapshot, and its messages, which are in flight again.

    Raises:
        RecordError: a file is missing or damaged.
    """
    folder, files = checkpoint.directory, checkpoint.manifest.files
    with reading(checkpoint):
        values = hosting.load_tree(folder / SNAPSHOT, dict, files[SNAPSHOT])
        rows, sizes, sha256 = values.pop("messages"), values.pop("sizes"), files[MESSAGES]
    host = session.hosts[0]
    reloading = ReloadMessages(folder / MESSAGES, sha256, sizes)
    outbox = session.call({host: reloading})[host]
    with reading(checkpoint):
        return values, [
            InFlight(sender, receiver, hop, round, arrival_s, outbox.handle, index, fragment)
            for sender, receiver, hop, round, arrival_s, index, fragment in rows
        ]


@contextmanager
def reading(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn a missing or malformed value of a snapshot into an error that names the file."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"the checkpoint {checkpoint.directory / SNAPSHOT} is damaged",
            expected="what a run with clock.mode=asynchronous wrote",
            actual=f"{type(error).__name__} {error}",
            hint="resume from an earlier round with --round, or run again",
        ) from error


def outboxes_of(messages: Sequence[InFlight]) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return the outboxes that hold messages, and the place of each message: (outbox, index within it)."""
    handles: list[Any] = []
    position: dict[int, int] = {}
    for message in messages:
        if id(message.handle) not in position:
            position[id(message.handle)] = len(handles)
            handles.append(message.handle)
    return handles, [(position[id(message.handle)], message.index) for message in messages]


def _plain(value: Any) -> Any:
    """Return a value with NumPy's numbers replaced by Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value
