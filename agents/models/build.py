"""Construction of encoders: a backbone, new or loaded, with the heads of objectives and exchanges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    GPT2Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from agents.config import (
    PRESETS,
    EncoderConfig,
    LanguageModelKind,
    base_model_of,
    full_model_of,
)
from agents.models.adapters import add_lora, freeze_below, load_adapters
from agents.models.encoder import Encoder
from agents.models.heads.saved_heads import holds_language_head, restore_heads
from agents.models.language_head import LanguageHead, kind_of, saved_kind
from agents.models.pretrained import load_backbone, load_config, model_class, quietly
from agents.models.sentence_transformer import pooling_of
from agents.text.vocabulary import Vocabulary
from protocols.errors import ModelError
from protocols.seeding import derive

_POSITIONS = 512


class HeadProvider(Protocol):
    """The part of an objective that decides which heads an encoder is built with."""

    @property
    def kind(self) -> str:
        """Name of the objective; seeds the draws of its heads."""

    @property
    def language_model(self) -> LanguageModelKind | None:
        """Kind of the language-model head that it trains; None if there is none."""

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build its other heads by name."""


def build_backbone(
    config: EncoderConfig, vocabulary_size: int, padding_id: int, seed: int
) -> PreTrainedModel:
    """Build or load the backbone of an encoder.

    Args:
        config: the encoder's configuration.
        vocabulary_size: the tokenizer's; sets a preset's vocabulary, and is checked for loaded models.
        padding_id: padding token, for presets.
        seed: seed of a preset's initial weights.

    Raises:
        ModelError: the folder or name cannot be loaded, or its vocabulary is smaller than the
            tokenizer's.
    """
    with _seeded(seed, "initialisation"):
        if config.from_scratch:
            model: PreTrainedModel = AutoModel.from_config(
                preset_config(config, vocabulary_size, padding_id), trust_remote_code=False
            )
            return model
        return load_backbone(config, vocabulary_size)


def meta_backbone(config: EncoderConfig, vocabulary_size: int) -> PreTrainedModel:
    """Build a backbone on the meta device, with shapes but no values, to count its parameters and FLOPs.

    Args:
        config: the encoder's configuration.
        vocabulary_size: a preset's vocabulary size; a pretrained backbone has its own.

    Raises:
        ModelError: the folder or name cannot be read.
    """
    scratch = config.from_scratch
    architecture = preset_config(config, vocabulary_size, 0) if scratch else load_config(config)
    with torch.device("meta"):
        build = model_class(architecture)
        model: PreTrainedModel = (
            AutoModel.from_config(architecture, trust_remote_code=config.trust_remote_code)
            if build is AutoModel
            else build(architecture)
        )
        return model


def build_encoder(
    config: EncoderConfig,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    *,
    exchange_dimension: int = 0,
    classes: int = 0,
    objectives: Sequence[HeadProvider] = (),
) -> Encoder:
    """Build or load an encoder with all its heads; `agents.models.heads.saved_heads` restores saved heads.

    The backbone's initial weights depend only on the seed and the configuration, not on the heads.

    Args:
        config: the encoder's configuration.
        tokenizer: its size is that of a preset's vocabulary, and is checked for loaded models.
        seed: seed of all initial weights that are not loaded.
        exchange_dimension: see `Encoder`.
        classes: see `Encoder`.
        objectives: objectives that will train the encoder; each may add heads.

    Raises:
        ModelError: the folder or name cannot be loaded, its vocabulary is smaller than the tokenizer's, two
            objectives need heads that exclude each other, or encoder or tokenizer do not suit an objective.
    """
    kind = _language_model(objectives)
    if kind == "masked":
        Vocabulary(tokenizer).mask()
    backbone = build_backbone(config, len(tokenizer), int(tokenizer.pad_token_id or 0), seed)
    if config.lora is not None:
        base = base_model_of(config)
        with _seeded(seed, "adapters"):
            add_lora(backbone, config.lora, base or config.origin)
        if base is not None:
            load_adapters(backbone, Path(config.origin))
    if config.frozen_layers is not None:
        freeze_below(backbone, config.frozen_layers, config.origin)
    with _seeded(seed, "heads"):
        encoder = Encoder(
            backbone, pooling_of(config), config.projection, exchange_dimension, classes
        )
    if kind is not None:
        with _seeded(seed, "language head"), quietly():
            encoder.language_head = LanguageHead.of(
                backbone,
                kind,
                None if config.from_scratch else full_model_of(config),
                trust_remote_code=config.trust_remote_code,
            )
    # Each head draws by its own name, so that one more objective changes no other initial weight.
    for objective in objectives:
        with _seeded(seed, "heads of", objective.kind):
            try:
                encoder.add_heads(objective.heads(encoder))
            except ValueError as error:
                raise ModelError(
                    str(error), hint=f"name objective {objective.kind} once in objectives"
                ) from error
    if config.path is not None:
        restore_heads(encoder, Path(config.path))
    return encoder


def load_encoder(
    config: EncoderConfig, tokenizer: PreTrainedTokenizerBase, pooling: str
) -> Encoder:
    """Load an encoder for evaluation, with the language-model head of its folder if there is one.

    Raises:
        ModelError: as `build_backbone`.
    """
    backbone = build_backbone(config, len(tokenizer), int(tokenizer.pad_token_id or 0), seed=0)
    encoder = Encoder(backbone, pooling)
    adapted = base_model_of(config) is not None
    kind = saved_kind(backbone.config)
    if kind is None and adapted and holds_language_head(Path(config.origin)):
        kind = kind_of(backbone.config)
    if kind is not None:
        with quietly():
            encoder.language_head = LanguageHead.of(
                backbone, kind, full_model_of(config), trust_remote_code=config.trust_remote_code
            )
    if adapted:
        restore_heads(encoder, Path(config.origin))
    return encoder


def _language_model(objectives: Sequence[HeadProvider]) -> LanguageModelKind | None:
    kinds = {objective.language_model for objective in objectives} - {None}
    if len(kinds) > 1:
        raise ModelError(
            "one encoder cannot have a masked and a causal language-model head",
            expected="objectives that train one of the two",
            actual=", ".join(objective.kind for objective in objectives),
            hint="drop one of the objectives",
        )
    return kinds.pop() if kinds else None


@contextmanager
def _seeded(seed: int, *names: str) -> Iterator[None]:
    """Seed PyTorch's global generator by name within the context, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *names))
        yield


def preset_config(config: EncoderConfig, vocabulary_size: int, padding_id: int) -> PretrainedConfig:
    """Return the architecture of a preset: a BERT, or a GPT-2 for decoders."""
    size = PRESETS[config.preset or "tiny"]
    dropout = 0.1 if config.dropout is None else config.dropout
    if size.decoder:
        return GPT2Config(
            vocab_size=vocabulary_size,
            n_layer=size.layers,
            n_embd=size.width,
            n_head=size.heads,
            n_positions=_POSITIONS,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,  # PyTorch's fused attention on a CPU has no dropout
            pad_token_id=padding_id,
            bos_token_id=None,
            eos_token_id=None,
        )
    return BertConfig(
        vocab_size=vocabulary_size,
        num_hidden_layers=size.layers,
        hidden_size=size.width,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=_POSITIONS,
        pad_token_id=padding_id,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
    )
