"""Blueprint of the agents of a host: plain values that are sent between processes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from agents.config import EncoderConfig
from agents.exchange.base import Exchange, Heads
from agents.models.text_encoder import EmbeddingMap, TextEncoder
from agents.objectives.base import Objective
from agents.text.tokens import Tokens
from agents.training.config import TrainingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Evaluate(Protocol):
    """Function from an encoder to metrics, and to plain values for charts."""

    def __call__(
        self, encoder: TextEncoder, variant: str = "", /
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Measure an encoder; with `variant`, the name of the map that its embeddings have passed."""


class FitMaps(Protocol):
    """Function from embeddings of training text to maps of embeddings, by name."""

    @property
    def documents(self) -> int:
        """Training documents to fit on, at most."""

    @property
    def text(self) -> Literal["sentences", "documents"]:
        """Whether to fit on the first sentence of each, or on the document."""

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the maps under which an encoder is measured again."""

    def __call__(self, rows_ND: np.ndarray, /) -> Mapping[str, EmbeddingMap]:
        """Return the maps, the one to export last; the embeddings are `[N, D]`."""


@dataclass(frozen=True)
class Group:
    """Agents with the same encoder.

    Attributes:
        encoder: configuration of the encoder.
        tokenizer: the encoder's tokenizer.
        tokens: every document of the corpus in that tokenizer's ids, by row.
    """

    encoder: EncoderConfig
    tokenizer: PreTrainedTokenizerBase
    tokens: Tokens


@dataclass(frozen=True)
class Member:
    """One agent.

    Attributes:
        id: its number.
        group: index of its group.
        rows: rows of its private documents.
        labelled: `[n]`, rows of the documents whose class it knows.
        classes: `[n]` int64, the class of each of these.
    """

    id: int
    group: int
    rows: np.ndarray
    labelled: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Anchors:
    """The public anchors: their rows `[N]`, and the class `[N]` int64 of each.

    The classes are clusters of the anchors' text or, if the exchange uses labels, their true labels.
    """

    rows: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class Arm:
    """Settings in which a run differs from its baseline.

    Attributes:
        exchange: the strategy.
        anchor_fraction: share of anchors in each batch, which objectives learn from as text.
        checksums: whether messages carry a checksum, to detect damage in transit.
        undoes_diverged: whether a round in which an agent diverges is undone; otherwise it raises.
    """

    exchange: Exchange
    anchor_fraction: float
    checksums: bool = False
    undoes_diverged: bool = False


@dataclass(frozen=True)
class Blueprint:
    """Configuration from which hosts build their agents.

    Attributes:
        individual_initialisation: whether every agent draws its own initial weights.
        labels: names of the classes of the agents' own labels.
        evaluation_length: largest number of tokens of a text in evaluation.
        device: ``auto``, or the name of a torch device.
        threads: torch threads of a host.
        state_bytes: bytes of agents' states that a host keeps in memory; the rest goes to disk.
        spill_folder: folder for spilled states; None for the system's temporary folder.
        stack: agents of one architecture that a host trains together, at most; ``auto`` for the number that
            pays.
        fit_maps: fits the maps of embeddings of an agent on its training text; None for no maps.
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
    labels: tuple[str, ...] = ()
    individual_initialisation: bool = False
    device: str = "auto"
    threads: int = 1
    state_bytes: float = math.inf
    spill_folder: str | None = None
    fit_maps: FitMaps | None = None
    stack: int | Literal["auto"] = 1

    def only(self, ids: Collection[int], share: float = 1.0) -> Blueprint:
        """Return the blueprint of a host with only these agents and a share of the memory."""
        members = tuple(member for member in self.members if member.id in ids)
        return replace(self, members=members, state_bytes=self.state_bytes * share)
