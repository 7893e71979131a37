"""Bounded reads of run folders, for listings and pages that poll, even if files are huge or damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agentos.records.atomic_files import inside

LARGEST_BYTES = 4_000_000
"""Largest file that is read as a whole."""
TAIL_BYTES = 1_000_000
"""Bytes that are read from the end of a longer file."""


def folder_bytes(directory: Path) -> int:
    """Return the size of all files in a folder, links not followed."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # gone meanwhile
                continue
    return total


def last_rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics at the end of a file that are whole; none if there is no file."""
    if not path.is_file():  # a pipe would never end
        return []
    try:
        inside(path.parent, path)
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for line in lines[1 if start else 0 : -1]:
        row = json.loads(line)
        if not (isinstance(row, dict) and type(row.get("round")) is int):
            raise ValueError(f"no line of metrics: {line[:60]!r}")
        rows.append(row)
    return rows


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if there is no such file."""
    text = read_text(path)
    value = json.loads(text) if text else {}
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return value


def read_text(path: Path) -> str:
    """Return the text of a small file; an empty one if there is no such file.

    Raises:
        RecordError: it is a link out of its folder.
        ValueError: it is too large, or no UTF-8.
    """
    if not path.is_file():
        return ""
    try:
        inside(path.parent, path)
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"{path.name} is larger than {LARGEST_BYTES:,} bytes")
    return data.decode("utf-8")
