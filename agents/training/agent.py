"""One agent: a learner with private text. A plain class, which runs and is tested without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.continual import Consolidation, Retention, Ridge
from agents.exchange.base import PrivateBatch
from agents.models.export import export
from agents.models.heads.label_head import LabelHead, label_scores
from agents.models.text_encoder import EmbeddingMap, LabelScores, TokenScores
from agents.models.token_scores import score_tokens
from agents.objectives.labelled import LABEL_HEAD
from agents.text.tokens import Text
from agents.training import trainer
from agents.training.blueprint import Arm
from agents.training.learner import LocalLearner
from agents.training.local_batch import PreparedBatch
from agents.training.prefetch import Prefetcher
from protocols.seeding import generator

_CENTRE_TEXTS = 512
"""Texts that the mean of evaluated texts is taken over, at most."""


class Agent(LocalLearner):
    """An agent of a society: it trains, exchanges, and encodes texts for evaluation."""

    def train(
        self, arm: Arm, round: int, batches: Prefetcher[PreparedBatch] | None = None
    ) -> dict[str, float]:
        """Take the local steps of a round; see `agents.training.trainer.train`."""
        return trainer.train(self, arm, round, batches)

    def preview(self) -> PrivateBatch:
        """Return the private batch of the next training step; see `agents.training.trainer.preview`."""
        return trainer.preview(self, self.arm)

    def consolidate(self, episode: int) -> None:
        """Let the retentions among the objectives take in what an episode taught."""
        encoder = self.encoder.eval()
        for index, objective in enumerate(self.resident.blueprint.objectives):
            if isinstance(objective, Retention):
                objective.consolidate(
                    Consolidation(
                        encoder=encoder,
                        parameters=self.parameters,
                        state=self.state.objectives[index],
                        learnt=self.labelled,
                        batch=self.resident.pad,
                        budget=self.resident.collate.budget,
                        embed=self._embed_tokens,
                        public=lambda: self._public_states().cpu().numpy(),
                        rng=generator(self.seed, "consolidation", self.id, episode, index),
                    )
                )

    def ridge_scores(self, texts: Sequence[str]) -> np.ndarray | None:
        """Return class scores `[N, K]` by the streaming ridge regression; None without one."""
        for objective, state in zip(
            self.resident.blueprint.objectives, self.state.objectives, strict=True
        ):
            if isinstance(objective, Ridge) and objective.knows(state):
                return objective.scores(state, self.embed(texts))
        return None

    def _embed_tokens(self, texts: Sequence[Text]) -> np.ndarray:
        collate = self.resident.collate_evaluation
        tokens = [text.tokens[: collate.budget] for text in texts]
        return self._encode(tokens, collate).cpu().numpy()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts for evaluation: `[N, W]` float32 pooled states, not normalised."""
        tokens = self.resident.tokenise_evaluation(texts)
        return self._encode(tokens, self.resident.collate_evaluation).cpu().numpy()

    def fitted_maps(self) -> Mapping[str, EmbeddingMap]:
        """Fit the maps of embeddings on a sample of the private documents, the same in every round.

        The texts are cut and embedded as held-out texts are.
        """
        fit = self.resident.blueprint.fit_maps
        if fit is None:
            return {}
        collate, tokens = self.resident.collate_evaluation, self.resident.group.tokens
        rng = generator(self.seed, "embedding maps", self.id)
        rows = rng.choice(self._private.rows, min(fit.documents, self.examples), replace=False)
        whole = fit.text == "documents"
        texts = [
            (tokens[int(row)] if whole else Text.row(tokens, int(row)).sentence(0))[
                : collate.budget
            ]
            for row in rows
        ]
        return fit(self._encode(texts, collate).cpu().numpy())

    def watch(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Embed texts during training: `[N, W]` as `embed`, and the number of tokens."""
        return self.embed(texts), self._evaluated_tokens(texts)

    def vote(self, texts: Sequence[str]) -> tuple[LabelScores | None, int]:
        """Classify texts for others: as `label_scores`, and the number of tokens."""
        scores = self.label_scores(texts)
        return scores, 0 if scores is None else self._evaluated_tokens(texts)

    def _evaluated_tokens(self, texts: Sequence[str]) -> int:
        tokens = self.resident.tokenise_evaluation(texts)
        around = self.resident.collate_evaluation.special_count
        return sum(len(text) + around for text in tokens)

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

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Classify texts with the head of own labels; see `agents.objectives.labelled`."""
        head, names = self._label_head, self.resident.blueprint.labels
        if head is None or not names:
            return None
        tokens = self.resident.tokenise_evaluation(texts)
        with head.centred_at(self._evaluation_mean()), torch.no_grad():
            return label_scores(head(self._encode(tokens, self.resident.collate_evaluation)), names)

    @property
    def _label_head(self) -> LabelHead | None:
        if LABEL_HEAD not in self.encoder.heads:
            return None
        head = self.encoder.heads[LABEL_HEAD]
        assert isinstance(head, LabelHead)
        return head

    def _evaluation_mean(self) -> Tensor:
        """Return the mean pooled state `[W]` of public text, or of private text where there is none."""
        return self._public_states().float().mean(dim=0)

    def _public_states(self) -> Tensor:
        """Return pooled states `[N, W]` of public texts, or of private ones where there are none.

        The texts are cut as evaluated texts are: the mean of the shorter crops of training lies elsewhere.
        """
        blueprint, collate = self.resident.blueprint, self.resident.collate_evaluation
        rows = blueprint.anchors.rows if self.anchor_count else self._private.rows
        tokens = self.resident.group.tokens
        # Evenly spread: rows are in the order of the corpus, which may be that of its labels.
        spread = np.linspace(0, len(rows) - 1, min(len(rows), _CENTRE_TEXTS)).round().astype(int)
        texts = [tokens[int(row)][: collate.budget] for row in rows[spread]]
        return self._encode(texts, collate)

    def save(self, directory: Path) -> None:
        """Save the encoder for transformers and sentence-transformers; see `agents.models.export`.

        The last of the fitted maps becomes a module of sentence-transformers.
        """
        head = self._label_head
        with nullcontext() if head is None else head.centred_at(self._evaluation_mean()):
            export(
                self.encoder,
                self.resident.group.tokenizer,
                self.resident.collate,
                directory,
                max_length=self.resident.blueprint.evaluation_length,
                labels=self.resident.blueprint.labels,
                map=next(reversed(list(self.fitted_maps().items())), None),
            )
