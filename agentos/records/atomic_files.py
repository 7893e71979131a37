"""Files that survive a crash: whole or not at all, strict JSON, and errors that name the path."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from protocols.errors import RecordError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a `RecordError` that names the path."""
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
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of ``path`` at the end, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            yield draft
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


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
    """Return a value that JSON can hold: NumPy scalars as Python's, and not finite as None.

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
