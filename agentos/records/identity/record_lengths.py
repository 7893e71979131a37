"""Lengths of the records that grow with a run, on which a checkpoint relies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from agentos.records.atomic_files import sync, writing
from agentos.records.layout import BASELINES, FAULTS, HEALTH, LEDGER, METRICS
from protocols.spec import Spec

_GROWING = (METRICS, HEALTH, FAULTS)
"""Records that a checkpoint relies on."""
_GROWING_LATER = (*(f"{arm}/{METRICS}" for arm in BASELINES), LEDGER)
"""Those that it relies on besides in a baseline."""


class Extent(Spec):
    """The beginning of a file: its length in bytes, and its SHA-256."""

    size: int = Field(ge=0)
    sha256: str


def extents(run: Path, arm: str) -> dict[str, Extent]:
    """Measure the records that a checkpoint relies on, once the system has written them to its disk.

    Args:
        run: the run folder.
        arm: that the checkpoint is of.

    Raises:
        RecordError: the folder cannot be written to.
    """
    found = {}
    for name in (*_GROWING, *(_GROWING_LATER if arm in BASELINES else ())):
        path = run / name
        if path.exists():
            with writing(path):
                sync(path)
            extent = _beginning(path, path.stat().st_size)
            if extent is not None:
                found[name] = extent
    return found


def disagreement(run: Path, measured: Mapping[str, Extent]) -> str | None:
    """Name a record that is shorter than it was, or begins otherwise; None if none does.

    Args:
        run: the run folder.
        measured: the extents by the names of the records; others are not looked at.
    """
    for name in (*_GROWING, *_GROWING_LATER):
        extent = measured.get(name)
        if extent is not None and _beginning(run / name, extent.size) != extent:
            return name
    return None


def _beginning(path: Path, size: int) -> Extent | None:
    """Return the extent of the first bytes of a file; None if there are fewer, or no file."""
    try:
        with path.open("rb") as file:
            data = file.read(size)
    except OSError:
        return None
    return Extent(size=size, sha256=hashlib.sha256(data).hexdigest()) if len(data) == size else None
