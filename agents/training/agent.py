"""One agent: a learner with private text. A plain class, which runs and is tested without Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.exchange.base import PrivateBatch
from agents.exchange.parts import all_parts, blank_memory
from agents.models.encoder import Encoder
from agents.models.export import export
from agents.models.microbatch import rowwise
from agents.models.text_encoder import TokenScores
from agents.models.token_scores import score_tokens
from agents.text.collate import Collator
from agents.text.epochs import EpochReader, within_epoch
from agents.text.tokens import Text
from agents.training import trainer
from agents.training.blueprint import Arm, Member
from agents.training.local_batch import Reading, Ready
from agents.training.prefetch import Prefetcher
from agents.training.shared_model import AgentState, SharedModel
from agents.views import Crop
from protocols.seeding import generator

_EMBEDDING_BATCH = 128
Pooled = tuple[tuple[Tensor, ...], np.ndarray]


class Agent:
    """An agent of a society; it shows an exchange strategy the face of a `Learner`.

    Args:
        member: who it is, and what it reads.
        resident: the module that it shares with the other agents of its group on the host.
        arm: what it learns from others.
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
        self._private = EpochReader(member.rows, self.seed, "private", member.id)
        self._anchors = EpochReader(
            np.arange(len(blueprint.anchors.rows)), self.seed, "anchors", member.id
        )

    @property
    def draws_own_weights(self) -> bool:
        """Whether its initial weights are its own, instead of those of all agents of its group."""
        return self.resident.blueprint.individual_initialisation

    def begin(self) -> None:
        """Take up a state of its own; before, it shares the initial weights and remembers nothing."""
        self.state = self.resident.new_state(self.id)
        self.begin_exchange()

    def begin_exchange(self) -> None:
        """Begin with the exchange from where the agent stands: what it remembers of another is lost."""
        self.state.memory = blank_memory(self.arm.exchange)
        for strategy, learner in all_parts(self.arm.exchange, self):
            strategy.begin(learner)

    @property
    def encoder(self) -> Encoder:
        """The resident encoder, being this agent."""
        self.resident.become(self.state)
        return self.resident.encoder

    @property
    def parameters(self) -> Tensor:
        """The trained parameters `[P]`; writing to them changes the agent."""
        return self.state.parameters

    @property
    def layout(self) -> str:
        """Fingerprint of the parameter layout."""
        return self.resident.binding.layout.fingerprint

    @property
    def memory(self) -> dict[str, Any]:
        """What the exchange strategy remembers."""
        return self.state.memory

    @cached_property
    def looks_back(self) -> bool:
        """Whether an objective wants parameters to look back at."""
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
    def private_batch_size(self) -> int:
        """Number of private documents in each batch."""
        return self._batch_sizes(self.arm.anchor_fraction)[0]

    def train(
        self, arm: Arm, round: int, batches: Prefetcher[Ready] | None = None
    ) -> dict[str, float]:
        """Take the local steps of a round; see `agents.training.trainer.train`."""
        return trainer.train(self, arm, round, batches)

    def preview(self) -> PrivateBatch:
        """Return the private batch of the next training step; see `agents.training.trainer.preview`."""
        return trainer.preview(self, self.arm)

    def readings(self, anchor_fraction: float, batches: int) -> Iterator[Reading]:
        """Read on in the private text and in the anchors, from where the agent stands.

        A batch never holds a document twice, so an agent with little text takes smaller batches. The agent
        itself moves on when it trains on a batch.
        """
        private, anchors = self._batch_sizes(anchor_fraction)
        first, read, anchors_read = self.state.batches, self.state.read, self.state.anchors_read
        for batch in range(first, first + batches):
            read = within_epoch(read, private, self.examples)
            anchors_read = within_epoch(anchors_read, anchors, self.anchor_count)
            rows = self._private.read(read, private)
            ids = self._anchors.read(anchors_read, anchors)
            rows = np.concatenate([rows, self.resident.blueprint.anchors.rows[ids]])
            read, anchors_read = read + private, anchors_read + anchors
            yield Reading(batch, rows, ids, read, anchors_read)

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

        The crops depend on the agent and the round, so neighbours send different ones.
        """
        rng = generator(self.seed, "anchor crops", self.id, round)
        rows = np.tile(self.resident.blueprint.anchors.rows, crops)
        return self._embed_crops(rows, rng).view(crops, self.anchor_count, -1)

    def embed_private(self, count: int, round: int) -> Tensor:
        """Embed a random crop of each of some private texts: `[n, D]`, normalised, no gradient.

        The texts, all different, and their crops depend on the agent and the round.
        """
        rng = generator(self.seed, "private sample", self.id, round)
        rows = self._private.rows
        return self._embed_crops(rng.choice(rows, min(count, len(rows)), replace=False), rng)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts for evaluation: `[N, W]` float32 pooled states, not normalised."""
        tokens = self.resident.tokenise_evaluation(texts)
        return self._encode(tokens, self.resident.collate_evaluation).cpu().numpy()

    def watch(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Embed texts during training: `[N, W]` as `embed`, and the tokens that it took."""
        tokens = self.resident.tokenise_evaluation(texts)
        around = self.resident.collate_evaluation.special_count
        return self.embed(texts), sum(len(text) + around for text in tokens)

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts for evaluation; see `agents.models.token_scores.score_tokens`."""
        resident = self.resident
        with resident.autocast():
            return score_tokens(
                self.encoder.eval(),
                texts,
                resident.tokenise_evaluation(texts),
                seed,
                collate=resident.collate_evaluation,
                vocabulary=resident.vocabulary,
            )

    def save(self, directory: Path) -> None:
        """Save the encoder for transformers and sentence-transformers; see `agents.models.export`."""
        export(
            self.encoder,
            self.resident.group.tokenizer,
            self.resident.collate,
            directory,
            max_length=self.resident.blueprint.evaluation_length,
        )

    def _batch_sizes(self, anchor_fraction: float) -> tuple[int, int]:
        """Return how many private documents and how many anchors make up a batch."""
        size = self.resident.blueprint.training.batch_size
        anchors = min(round(anchor_fraction * size), self.anchor_count)
        return min(size - anchors, self.examples), anchors

    def _embed_crops(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Embed a crop of each of some rows of the corpus, as neighbours are to see them: `[n, D]`."""
        collate, tokens = self.resident.collate, self.resident.group.tokens
        crop = Crop()
        texts = [crop.apply(Text.of(tokens[int(row)]), self.setting, rng).tokens for row in rows]
        self.state.embedded_tokens += sum(len(text) + collate.special_count for text in texts)
        pooled = self._encode(texts, collate)
        with torch.no_grad():
            projected = self.encoder.exchange_head(pooled)
        return torch.nn.functional.normalize(projected, dim=-1)

    def _encode(self, texts: Sequence[np.ndarray], collate: Collator) -> Tensor:
        """Encode token arrays in batches of like length; returns `[N, W]` in the given order."""
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
