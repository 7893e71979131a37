"""The parts of a composite, each solved in a folder of its own, in the order in which they answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentos.tasks.config import CompositeTask

PARTS = "parts"
"""Folder of the parts in that of a composite."""


@dataclass(frozen=True)
class PartsInOrder:
    """The saved configuration of a composite, whose parts are saved apart.

    Attributes:
        config: the configuration, which holds the graph.
    """

    config: CompositeTask


def part_folder(directory: Path, name: str) -> Path:
    """Return the folder of a part of a composite."""
    return directory / PARTS / name
