"""Agents that are not there yet: enough of a `Learner` to say what it is going to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.exchange.base import Heads, PrivateBatch
from agents.models.build import build_encoder
from agents.models.encoder import Encoder
from agents.models.flat_parameters import layout_of
from agents.models.pretrained import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agents.config import EncoderConfig
    from agents.objectives.base import Objective


class ShapeLearner:
    """A learner before its run: it has sizes, and no numbers.

    Args:
        id: of the agent.
        encoder: built on PyTorch's device ``meta``, where parameters have shapes alone.
        anchors: number of public anchors.
        examples: number of private documents, or a guess.
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
        self.parameters: Tensor = torch.empty(layout.size, device="meta")
        self.anchor_count = anchors
        self.anchor_clusters = np.zeros(anchors, dtype=np.int64)
        self.examples = examples
        self.memory: dict[str, Any] = {}
        self.private_batch_size = private_batch_size
        self.looks_back = False

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Refuse: there is nothing to embed with."""
        raise NotImplementedError("an agent that is not there yet embeds nothing")

    def embed_private(self, count: int, round: int) -> Tensor:
        """Refuse: there is nothing to embed with."""
        raise NotImplementedError("an agent that is not there yet embeds nothing")

    def preview(self) -> PrivateBatch:
        """Refuse: there is nothing to train on."""
        raise NotImplementedError("an agent that is not there yet trains on nothing")


def outline(
    config: EncoderConfig, objectives: Sequence[Objective], heads: Heads, vocabulary_size: int
) -> Encoder:
    """Build an encoder without numbers, if it is not one that has to be loaded.

    Args:
        config: where it comes from.
        objectives: what it will be trained on; they may ask for heads.
        heads: that the exchange asks for.
        vocabulary_size: of the tokenizer that is going to be trained.

    Raises:
        ModelError: as `agents.models.build.build_encoder`.
    """
    wanted = {"exchange_dimension": heads.exchange_dimension, "classes": heads.classes}
    if not config.from_scratch:
        return build_encoder(config, load_tokenizer(config), 0, objectives=objectives, **wanted)
    with torch.device("meta"):
        return build_encoder(config, _stand_in(vocabulary_size), 0, objectives=objectives, **wanted)


def _stand_in(size: int) -> PreTrainedTokenizerBase:
    """Return a tokenizer of this many tokens, of which nobody will ask for more than the number."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    names = [*special.values(), *(f"token{i}" for i in range(size - len(special)))]
    words = models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **special)
