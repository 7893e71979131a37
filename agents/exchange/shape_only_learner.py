"""Agents with shapes and no numbers: enough of a `Learner` to announce messages before a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.config import EncoderConfig
from agents.exchange.base import ExchangeState, Heads, PrivateBatch
from agents.models.build import build_encoder
from agents.models.encoder import Encoder
from agents.models.flat_parameters import layout_of
from agents.models.pretrained import load_tokenizer
from agents.objectives.base import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ShapeLearner:
    """A learner before its run, with sizes and no numbers.

    Args:
        id: the agent's number.
        encoder: built on PyTorch's device ``meta``, where parameters have shapes only.
        anchors: number of public anchors.
        examples: number of private documents, or an estimate.
        private_batch_size: number of private documents in each batch.
    """

    def __init__(
        self, id: int, encoder: Encoder, anchors: int, examples: int, private_batch_size: int
    ) -> None:
        layout = layout_of(encoder)
        self.id = id
        self.seed = 0
        self.encoder = encoder
        self.layout = layout.fingerprint
        self.slots = layout.slots
        self.parameters: Tensor = torch.empty(layout.size, device="meta")
        self.initial_parameters = self.parameters
        self.anchor_count = anchors
        self.anchor_clusters = np.zeros(anchors, dtype=np.int64)
        self.examples = examples
        self.tokens = 0
        self.exchange_state = ExchangeState()
        self.private_batch_size = private_batch_size
        self.wants_reference = False

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Refuse: the encoder has no numbers."""
        raise NotImplementedError("a shape learner cannot embed")

    def embed_labelled(self, crops: int, round: int) -> tuple[Tensor, Tensor]:
        """Refuse: the encoder has no numbers."""
        raise NotImplementedError("a shape learner cannot embed")

    def embed_private(self, count: int, round: int) -> Tensor:
        """Refuse: the encoder has no numbers."""
        raise NotImplementedError("a shape learner cannot embed")

    def preview(self) -> PrivateBatch:
        """Refuse: the encoder has no numbers."""
        raise NotImplementedError("a shape learner cannot train")


def outline(
    config: EncoderConfig, objectives: Sequence[Objective], heads: Heads, vocabulary_size: int
) -> Encoder:
    """Build an encoder without numbers, unless it must be loaded.

    Args:
        config: the encoder's configuration.
        objectives: the training objectives; they may need heads.
        heads: heads that the exchange needs.
        vocabulary_size: vocabulary size of the tokenizer, which is not trained yet.

    Raises:
        ModelError: as `agents.models.build.build_encoder`.
    """
    wanted = {"exchange_dimension": heads.exchange_dimension, "classes": heads.classes}
    if not config.from_scratch:
        return build_encoder(config, load_tokenizer(config), 0, objectives=objectives, **wanted)
    with torch.device("meta"):
        return build_encoder(
            config, _placeholder(vocabulary_size), 0, objectives=objectives, **wanted
        )


def _placeholder(size: int) -> PreTrainedTokenizerBase:
    """Return a placeholder tokenizer: only its size and its special tokens are used."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    names = [*special.values(), *(f"token{i}" for i in range(size - len(special)))]
    words = models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **special)
