"""Files that survive a crash: whole or not at all, strict JSON, and errors that name the path."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from protocols.errors import RecordError

_UNFIT = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError),
    *(TypeError, ValueError, SafetensorError),
)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into a `RecordError` that names the path."""
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"Output cannot be written to {path}",
            expected="a folder with free space that this user may write to",
            actual=error.strerror or str(error),
            hint="choose another folder with --out; or free some space, and continue with 'agentos resume'",
        ) from error


@contextmanager
def reading(folder: Path | str) -> Iterator[None]:
    """Turn the failure of records that were changed, and no longer fit together, into a `RecordError`."""
    try:
        yield
    except _UNFIT as error:
        raise RecordError(
            f"the records in {folder} do not fit together",
            expected="files as a run wrote them",
            actual=f"{type(error).__name__}: {str(error)[:200]}",
            hint="restore the folder from a copy, or run again",
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it replaces ``path`` at the end, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            yield draft
            sync(draft)  # or a power cut could leave the new name on an empty file
            draft.replace(path)
            _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def inside(folder: Path, path: Path) -> Path:
    """Return a path that lies in a folder once every link in it is followed.

    Raises:
        RecordError: it leads out of the folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RecordError(
            f"{path} leads out of {folder}",
            expected="files and folders that lie in it",
            actual=f"a link to {path.resolve()}",
            hint="remove the link; a run folder is read and written without following links out of it",
        )
    return path


def require_inside(folder: Path) -> None:
    """Refuse a folder with a link, at any depth, that leads out of it, or with a pipe or a device.

    The folder may be a link itself.

    Raises:
        RecordError: it holds such a thing.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # a draft of a run in progress, gone meanwhile
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    inside(folder, path)
                elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise no_file(path)


def require_file(path: Path) -> None:
    """Refuse a link out of its folder, a pipe or a device, which may have no end; what is not there passes.

    Raises:
        RecordError: it is one.
    """
    inside(path.parent, path)
    if path.exists() and not path.is_file():
        raise no_file(path)


def no_file(path: Path) -> RecordError:
    """Return the error for what is no regular file, where a record should be."""
    return RecordError(
        f"{path} is not a regular file",
        expected="files and folders",
        actual="a pipe, a device or a socket, or a folder in the place of a file",
        hint="remove it: no run writes such a thing",
    )


def sync(path: Path) -> None:
    """Have the system write a file to its disk, so that a power cut does not take it back."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Have the system write the names in a folder to its disk, where it can."""
    with suppress(OSError):  # Windows opens no folders, some file systems sync none
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a value as strict JSON, whole or not at all; see `plain`.

    Raises:
        RecordError: the file cannot be written.
    """
    text = json.dumps(plain(value), indent=indent, allow_nan=False)
    with replacing(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8", newline="\n")


def append_json(path: Path, value: Mapping[str, Any]) -> None:
    """Append one line of strict JSON.

    Raises:
        RecordError: the file cannot be written to.
    """
    with writing(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(plain(value), allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: NumPy scalars as Python's, and numbers that are not finite as None.

    Example:
        >>> plain({"loss": np.float32(0.5), "gap": float("nan"), 3: (1, 2)})
        {'loss': 0.5, 'gap': None, '3': [1, 2]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def damaged(path: Path, expected: str, actual: str | None = None) -> RecordError:
    """Return the error of a record that cannot be read."""
    return RecordError(
        f"The record {path} is damaged",
        expected=expected,
        actual=actual,
        hint="restore the file from a copy, or run again",
    )
