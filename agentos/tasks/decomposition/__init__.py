"""Decompositions: a classification divided as its user says, or its texts among agents."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.decomposition.base import Decomposition, Outcome, WholeTask, keeps
from agentos.tasks.decomposition.division import Division, Part
from agentos.tasks.decomposition.given import Given, GivenSubtask
from agentos.tasks.decomposition.text_shards import Shards
from agentos.tasks.decomposition.undivided import Undivided

DECOMPOSITIONS: Mapping[str, type[Decomposition]] = {
    "none": Undivided,
    "given": Given,
    "shards": Shards,
}
"""Every kind of decomposition. To add one, write its class in its own file and add a line here."""

__all__ = [
    "DECOMPOSITIONS",
    "Decomposition",
    "Division",
    "Given",
    "GivenSubtask",
    "Outcome",
    "Part",
    "Shards",
    "Undivided",
    "WholeTask",
    "keeps",
]
