"""One agent: a learner with private text. A plain class, which runs and is tested without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from agents import trainer
from agents.batching import Collator, EpochReader, Padded, whole
from agents.blueprint import Arm, Member
from agents.encoder import Encoder, no_progress_bars
from agents.export import HEADS, write_sentence_transformer
from agents.resident import AgentState, Resident
from agents.subject import TokenScores
from agents.views import Crop
from protocols.seeding import generator

_EMBEDDING_BATCH = 128
Pooled = tuple[tuple[Tensor, ...], int]


class Agent:
    """An agent of a society; it shows an exchange strategy the face of a `Learner`.

    Args:
        member: who it is, and what it reads.
        resident: the module that it shares with the other agents of its group on the host.
    """

    def __init__(self, member: Member, resident: Resident) -> None:
        blueprint = resident.blueprint
        self.id = member.id
        self.seed = blueprint.seed
        self.resident = resident
        self.state: AgentState = resident.new_state(member.id)
        self.anchor_clusters = blueprint.anchors.clusters
        self.embedded_tokens = 0
        self._private = EpochReader(member.rows, self.seed, "private", member.id)
        self._anchors = EpochReader(
            np.arange(len(blueprint.anchors.rows)), self.seed, "anchors", member.id
        )

    @property
    def encoder(self) -> Encoder:
        """The resident encoder, being this agent."""
        self.resident.become(self.state)
        return self.resident.encoder

    @property
    def parameters(self) -> Tensor:
        """The trained parameters `[P]`; writing to them changes the agent."""
        return self.state.parameters[: self.resident.binding.layout.trained]

    @property
    def layout(self) -> str:
        """Fingerprint of the parameter layout."""
        return self.resident.binding.layout.fingerprint

    @property
    def memory(self) -> dict[str, Any]:
        """What the exchange strategy remembers."""
        return self.state.memory

    @property
    def anchor_count(self) -> int:
        """Number of public anchors."""
        return len(self.anchor_clusters)

    @property
    def examples(self) -> int:
        """Number of private documents."""
        return len(self._private.rows)

    def train(self, arm: Arm, round: int) -> dict[str, float]:
        """Take the local steps of a round; see `agents.trainer.train`."""
        return trainer.train(self, arm, round)

    def next_batch(self, anchor_fraction: float) -> tuple[list[np.ndarray], np.ndarray]:
        """Read on in the private text and in the anchors.

        A batch never holds a document twice, so an agent with little text takes smaller batches.

        Returns:
            The documents' tokens, the anchors last, and the anchors' ids `[A]`.
        """
        size = self.resident.blueprint.training.batch_size
        anchors = min(round(anchor_fraction * size), self.anchor_count)
        private = min(size - anchors, self.examples)
        state = self.state
        state.read = whole(state.read, private, self.examples)
        state.anchors_read = whole(state.anchors_read, anchors, self.anchor_count)
        rows = self._private.read(state.read, private)
        ids = self._anchors.read(state.anchors_read, anchors)
        state.read += private
        state.anchors_read += anchors
        tokens = self.resident.group.tokens
        public = self.resident.blueprint.anchors.rows[ids]
        return [tokens[int(row)] for row in np.concatenate([rows, public])], ids

    def pool_crops(self, documents: Sequence[np.ndarray], rng: np.random.Generator) -> Pooled:
        """Encode two random crops of each document, with a gradient, for an exchange to learn from.

        Returns:
            Two tensors `[B, W]`, and the tokens that went through the encoder.
        """
        collate, crop = self.resident.collate, Crop()
        batch = collate([crop.apply(d, collate.budget, rng) for _ in range(2) for d in documents])
        first, second = torch.chunk(self.encoder(batch.input_ids, batch.attention_mask), 2)
        return (first, second), int(batch.lengths.sum())

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Embed random crops of every anchor: `[C, N, D]`, normalised, no gradient.

        The crops depend on the agent and the round, so neighbours send different ones.
        """
        collate = self.resident.collate
        tokens = self.resident.group.tokens
        rng = generator(self.seed, "anchor crops", self.id, round)
        crop = Crop()
        texts = [
            crop.apply(tokens[int(row)], collate.budget, rng)
            for _ in range(crops)
            for row in self.resident.blueprint.anchors.rows
        ]
        around = len(collate.prefix) + len(collate.suffix)
        self.embedded_tokens += sum(len(text) + around for text in texts)
        pooled = self._encode(texts, collate)
        with torch.no_grad():
            projected = self.encoder.exchange_head(pooled)
        unit = torch.nn.functional.normalize(projected, dim=-1)
        return unit.view(crops, self.anchor_count, -1)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts for evaluation: `[N, W]` float32 pooled states, not normalised."""
        tokens = self.resident.tokenise_evaluation(texts)
        return self._encode(tokens, self.resident.collate_evaluation).cpu().numpy()

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Return None: no objective of this agent trains a language-model head."""
        return None

    def save(self, directory: Path) -> None:
        """Save the encoder as a folder for transformers and sentence-transformers, its heads beside it."""
        encoder = self.encoder
        # Cloned: the parameters are views of one buffer, which the format does not allow.
        weights = {name: value.clone() for name, value in encoder.backbone.state_dict().items()}
        with no_progress_bars():
            encoder.backbone.save_pretrained(directory, state_dict=weights)
        self.resident.group.tokenizer.save_pretrained(directory)
        write_sentence_transformer(
            directory,
            pooling=encoder.pooling,
            width=encoder.width,
            max_length=self.resident.blueprint.evaluation_length,
        )
        heads = {
            name: value.clone()
            for name, value in encoder.state_dict().items()
            if not name.startswith("backbone.")
        }
        if heads:
            save_file(heads, directory / HEADS)

    def _encode(self, texts: Sequence[np.ndarray], collate: Collator) -> Tensor:
        """Encode token arrays in batches of like length; returns `[N, W]` in the given order."""
        encoder = self.encoder.eval()
        order = np.argsort([len(text) for text in texts], kind="stable")
        parts: list[Tensor] = []
        with torch.inference_mode(), self.resident.autocast():
            for start in range(0, len(order), _EMBEDDING_BATCH):
                batch: Padded = collate([texts[i] for i in order[start : start + _EMBEDDING_BATCH]])
                parts.append(encoder(batch.input_ids, batch.attention_mask))
        back = torch.from_numpy(np.argsort(order, kind="stable")).to(self.resident.device)
        with torch.no_grad():
            return torch.cat(parts)[back].clone()
