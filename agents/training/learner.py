"""An agent as its training steps and its exchange see it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from agents.exchange.base import Exchange, ExchangeState, Learner, PrivateBatch
from agents.models.encoder import Encoder
from agents.models.flat_parameters import Slot
from agents.models.microbatch import rowwise
from agents.objectives.base import LabelledTexts
from agents.text.collate import Collator
from agents.text.epochs import EpochReader, within_epoch
from agents.text.tokens import Text
from agents.training.blueprint import Arm, Member
from agents.training.local_batch import BatchRows
from agents.training.shared_model import SharedModel
from agents.training.state import AgentState, StateTypes
from agents.views import Crop
from protocols.seeding import generator

_EMBEDDING_BATCH = 128
Pooled = tuple[tuple[Tensor, ...], np.ndarray]


class LocalLearner(ABC):
    """An agent that reads its text, embeds it and keeps its state; a `Learner` to exchange strategies.

    `agents.training.agent.Agent` adds training itself, which works on this class.

    Args:
        member: its id, and its documents.
        resident: the module that it shares with the other agents of its group on the host.
        arm: its exchange.
    """

    def __init__(self, member: Member, resident: SharedModel, arm: Arm) -> None:
        blueprint = resident.blueprint
        self.id = member.id
        self.seed = blueprint.seed
        self.resident = resident
        self.arm = arm
        self.state: AgentState = resident.shared_state()
        self.setting = resident.setting(member)
        self.anchor_clusters = blueprint.anchors.clusters
        self._part = 0
        tokens = resident.group.tokens
        texts = [Text.row(tokens, int(row)) for row in member.labelled]
        self.labelled = LabelledTexts(texts, member.classes)
        self._labelled_rows = member.labelled
        self._private = EpochReader(member.rows, self.seed, "private", member.id)
        self._anchors = EpochReader(
            np.arange(len(blueprint.anchors.rows)), self.seed, "anchors", member.id
        )

    @property
    def draws_own_weights(self) -> bool:
        """Return whether its initial weights are its own, instead of those of its group."""
        return self.resident.blueprint.individual_initialisation

    def begin(self) -> None:
        """Copy the initial state, which the agent shared until now."""
        self.state = self.resident.new_state(self.id)
        self.begin_exchange()

    def begin_exchange(self) -> None:
        """Begin the exchange from the agent's present parameters; drop the state of an earlier exchange."""
        self.state.exchange = [part.initial_state(self) for part in self.arm.exchange.parts]

    def part(self, exchange: Exchange, index: int) -> tuple[Exchange, Learner]:
        """Return a part of an exchange, and the agent as that part sees it: with that part's state."""
        return exchange.parts[index], self._as_part(index)

    def parts(self, exchange: Exchange) -> list[tuple[Exchange, Learner]]:
        """Return every part of an exchange, and the agent as each part sees it."""
        return [self.part(exchange, index) for index in range(len(exchange.parts))]

    def _as_part(self, index: int) -> Self:
        if index == self._part:
            return self
        # A shallow copy for the duration of a call: it shares everything but the number of the part.
        view = copy.copy(self)
        view._part = index
        return view

    @property
    def encoder(self) -> Encoder:
        """The shared encoder, pointed at this agent's parameters."""
        self.resident.become(self.state)
        return self.resident.encoder

    @property
    def parameters(self) -> Tensor:
        """The trained parameters `[P]`; writing to them changes the agent."""
        return self.state.parameters

    @property
    def initial_parameters(self) -> Tensor:
        """The parameters `[P]` that agents of its encoder begin with; not to be changed."""
        return self.resident.shared_state().parameters

    @property
    def layout(self) -> str:
        """Fingerprint of the parameter layout."""
        return self.resident.binding.layout.fingerprint

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Places of the trained parameters in the flat tensor, in its order."""
        return self.resident.binding.layout.slots

    @property
    def exchange_state(self) -> ExchangeState:
        """State that the exchange strategy keeps for this agent."""
        return self.state.exchange[self._part]

    @property
    def state_types(self) -> StateTypes:
        """Classes of the states that the exchange and the objectives keep for this agent."""
        return StateTypes.of(self.arm.exchange, self.resident.blueprint.objectives)

    @cached_property
    def wants_reference(self) -> bool:
        """Return whether an objective takes received parameters."""
        return any(each.wants_reference for each in self.resident.blueprint.objectives)

    @property
    def anchor_count(self) -> int:
        """Number of public anchors."""
        return len(self.anchor_clusters)

    @property
    def examples(self) -> int:
        """Number of private documents."""
        return len(self._private.rows)

    @property
    def tokens(self) -> int:
        """Number of tokens that it has trained on since the beginning."""
        return self.state.tokens

    @property
    def private_batch_size(self) -> int:
        """Number of private documents in each batch."""
        return self.batch_sizes(self.arm.anchor_fraction)[0]

    @abstractmethod
    def preview(self) -> PrivateBatch:
        """Return the private texts of the next training step, to the bit."""

    def batch_rows(self, anchor_fraction: float, batches: int) -> Iterator[BatchRows]:
        """Yield the documents of the next batches, from the agent's positions in its text and its anchors.

        A batch never holds a document twice, so an agent with little text takes smaller batches. The agent
        itself moves on when it trains on a batch.
        """
        private, anchors = self.batch_sizes(anchor_fraction)
        first, read, anchors_read = self.state.batches, self.state.read, self.state.anchors_read
        for batch in range(first, first + batches):
            read = within_epoch(read, private, self.examples)
            anchors_read = within_epoch(anchors_read, anchors, self.anchor_count)
            rows = self._private.read(read, private)
            ids = self._anchors.read(anchors_read, anchors)
            rows = np.concatenate([rows, self.resident.blueprint.anchors.rows[ids]])
            read, anchors_read = read + private, anchors_read + anchors
            yield BatchRows(batch, rows, ids, read, anchors_read)

    def pool_crops(self, texts: Sequence[Text], rng: np.random.Generator) -> Pooled:
        """Encode two random crops of each text, with a gradient, for an exchange to learn from.

        Returns:
            Two tensors `[B, W]`, and the tokens `[B]` that went through the encoder.
        """
        crop = Crop()
        crops = [crop.apply(text, self.setting, rng) for _ in range(2) for text in texts]
        padded = self.resident.collate(crops)
        batch = self.resident.batch(padded)
        pooled = rowwise(self.encoder.pool_batch, batch, (), None, self.resident.pass_tokens)
        first, second = torch.chunk(pooled, 2)
        return (first, second), padded.lengths.reshape(2, -1).sum(axis=0)

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Embed random crops of every anchor: `[C, N, D]`, normalised, no gradient.

        The crops depend on the agent and the round, so neighbours send different crops.
        """
        rng = generator(self.seed, "anchor crops", self.id, round)
        rows = np.tile(self.resident.blueprint.anchors.rows, crops)
        return self._project(self._pool_rows(rows, rng)).view(crops, self.anchor_count, -1)

    def embed_labelled(self, crops: int, round: int) -> tuple[Tensor, Tensor]:
        """Embed random crops of the documents whose class the agent knows.

        Returns:
            `[C, n, D]`, normalised, no gradient, and the class `[n]` int64 of each document.
        """
        rng = generator(self.seed, "labelled crops", self.id, round)
        embedded = self._project(self._pool_rows(np.tile(self._labelled_rows, crops), rng))
        classes = torch.from_numpy(self.labelled.classes).to(embedded.device)
        return embedded.view(crops, len(classes), -1), classes

    def embed_private(self, count: int, round: int) -> Tensor:
        """Embed a random crop of each of some private texts: `[n, D]`, normalised, no gradient.

        The texts, all different, and their crops depend on the agent and the round.
        """
        rng = generator(self.seed, "private sample", self.id, round)
        rows = self._private.rows
        chosen = rng.choice(rows, min(count, len(rows)), replace=False)
        return self._project(self._pool_rows(chosen, rng))

    def batch_sizes(self, anchor_fraction: float) -> tuple[int, int]:
        """Return the numbers of private documents and of anchors in the agent's batches."""
        size = self.resident.blueprint.training.batch_size
        anchors = min(round(anchor_fraction * size), self.anchor_count)
        return min(size - anchors, self.examples), anchors

    def _project(self, pooled: Tensor) -> Tensor:
        """Map pooled states `[n, W]` to the exchange's space: `[n, D]`, normalised, no gradient."""
        with torch.no_grad():
            projected = self.encoder.exchange_head(pooled)
        return torch.nn.functional.normalize(projected, dim=-1)

    def _pool_rows(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Pool a crop of each of some rows of the corpus: `[n, W]`."""
        collate, tokens = self.resident.collate, self.resident.group.tokens
        crop = Crop()
        texts = [crop.apply(Text.of(tokens[int(row)]), self.setting, rng).tokens for row in rows]
        self.state.embedded_tokens += sum(len(text) + collate.special_count for text in texts)
        return self._encode(texts, collate)

    def _encode(self, texts: Sequence[np.ndarray], collate: Collator) -> Tensor:
        """Encode token arrays in batches of similar length; returns `[N, W]` in the given order."""
        encoder = self.encoder.eval()
        order = np.argsort([len(text) for text in texts], kind="stable")
        parts: list[Tensor] = []
        with torch.inference_mode(), self.resident.autocast():
            for start in range(0, len(order), _EMBEDDING_BATCH):
                padded = collate([texts[i] for i in order[start : start + _EMBEDDING_BATCH]])
                parts.append(encoder.pool_batch(self.resident.batch(padded)))
        back = torch.from_numpy(np.argsort(order, kind="stable")).to(self.resident.device)
        with torch.no_grad():
            return torch.cat(parts)[back].clone()
