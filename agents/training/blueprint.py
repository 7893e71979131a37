"""What a host needs to know to build its agents: plain values that travel between processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.config import EncoderConfig
from agents.exchange.base import Exchange, Heads
from agents.models.text_encoder import TextEncoder
from agents.objectives.base import Objective
from agents.training.config import TrainingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agents.text.tokens import Tokens


Evaluate = Callable[[TextEncoder], tuple[dict[str, float], dict[str, Any]]]
"""From an encoder under test to metrics, and to plain values for pictures."""


@dataclass(frozen=True)
class Group:
    """Agents with the same encoder.

    Attributes:
        encoder: where the encoder comes from.
        tokenizer: of the encoder.
        tokens: every document of the corpus under that tokenizer, by row.
    """

    encoder: EncoderConfig
    tokenizer: PreTrainedTokenizerBase
    tokens: Tokens


@dataclass(frozen=True)
class Member:
    """One agent: its group, and the rows of its private documents."""

    id: int
    group: int
    rows: np.ndarray


@dataclass(frozen=True)
class Anchors:
    """The public anchors: their rows `[N]`, and the class `[N]` int64 of each.

    The classes are clusters of the anchors' text or, where the exchange says so, their true labels.
    """

    rows: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class Arm:
    """What distinguishes a run from its baseline.

    Attributes:
        exchange: the strategy.
        anchor_fraction: share of each batch that are anchors, learnt from as text.
        checksums: whether messages are checked for damage on their way.
    """

    exchange: Exchange
    anchor_fraction: float
    checksums: bool = False


@dataclass(frozen=True)
class Blueprint:
    """Everything that hosts need to build their agents.

    Attributes:
        individual_initialisation: whether every agent draws its own initial weights.
        evaluation_length: tokens of a text when it is evaluated.
        device: ``auto``, or a device that torch knows.
        threads: of a host.
        state_bytes: of agents' states that a host keeps in memory; what exceeds them goes to disk.
        spill_folder: where; None for the system's temporary folder.
    """

    seed: int
    groups: tuple[Group, ...]
    members: tuple[Member, ...]
    anchors: Anchors
    objectives: tuple[Objective, ...]
    training: TrainingConfig
    heads: Heads
    evaluate: Evaluate
    evaluation_length: int
    individual_initialisation: bool = False
    device: str = "auto"
    threads: int = 1
    state_bytes: float = math.inf
    spill_folder: str | None = None

    def only(self, ids: Collection[int], share: float = 1.0) -> Blueprint:
        """Return the blueprint of a host that holds only these agents, and takes a share of the memory."""
        members = tuple(member for member in self.members if member.id in ids)
        return replace(self, members=members, state_bytes=self.state_bytes * share)
