"""A language encoder: a Hugging Face backbone, a pooling, and heads.

Legend: B texts in a batch, T tokens, W width of the backbone, D width of a head.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel
from transformers.utils import logging as transformers_logging

from agents.config import PRESETS, EncoderConfig
from agents.export import pooling_of, restore_heads
from protocols.errors import ModelError
from protocols.seeding import derive

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_POSITIONS = 512
_DROPOUTS = (
    *("hidden_dropout_prob", "dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop"),
    *("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"),
)


class Encoder(nn.Module):
    """Texts to vectors, with the heads that objectives and exchanges train beside the backbone.

    Args:
        backbone: any `transformers` encoder or decoder.
        pooling: ``mean`` over the tokens of a text, its first token (``cls``), or its ``last``.
        projection: width of the two-layer MLP head that contrastive objectives train; 0 for none
            (Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020).
        exchange_dimension: width in which agents of unlike widths meet; 0 when all widths agree.
        classes: size of the classifier that pseudo-labels train; 0 for none.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        pooling: str = "mean",
        projection: int = 0,
        exchange_dimension: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.width = int(backbone.config.hidden_size)
        self.projection: nn.Module = _mlp(self.width, projection) if projection else nn.Identity()
        self.exchange_head: nn.Module = (
            nn.Linear(self.width, exchange_dimension) if exchange_dimension else nn.Identity()
        )
        self.classifier: nn.Module = nn.Linear(self.width, classes) if classes else nn.Identity()
        self._accepts = frozenset(inspect.signature(type(backbone).forward).parameters)
        _freeze_unused(backbone)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            input_ids: `[B, T]` int64.
            attention_mask: `[B, T]`, 1 at tokens and 0 at padding (on the right).

        Returns:
            Pooled states `[B, W]`, float32, not normalised.
        """
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "use_cache" in self._accepts:
            inputs["use_cache"] = False
        states_BTW = self.backbone(**inputs).last_hidden_state
        return pool(states_BTW.float(), attention_mask, self.pooling)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for every small encoder that is loaded or saved."""
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()


def pool(states_BTW: Tensor, mask_BT: Tensor, pooling: str) -> Tensor:
    """Pool token states `[B, T, W]` into `[B, W]` under a mask `[B, T]` of right padding."""
    if pooling == "cls":
        return states_BTW[:, 0]
    if pooling == "last":
        last_B = mask_BT.sum(dim=1).clamp(min=1) - 1
        return states_BTW[torch.arange(len(states_BTW), device=states_BTW.device), last_B]
    weights_BT1 = mask_BT.unsqueeze(-1).to(states_BTW.dtype)
    return (states_BTW * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1.0)


def build_backbone(
    config: EncoderConfig, vocabulary_size: int, padding_id: int, seed: int
) -> PreTrainedModel:
    """Build or load the backbone of an encoder.

    Args:
        config: where it comes from.
        vocabulary_size: of the tokenizer; used by presets, checked for loaded models.
        padding_id: token that pads a batch; used by presets.
        seed: draws a preset's weights.

    Raises:
        ModelError: the folder or name cannot be loaded, or its vocabulary is smaller than the
            tokenizer's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initialisation"))
        if config.from_scratch:
            return BertModel(_preset(config, vocabulary_size, padding_id))
        return _load(config, vocabulary_size)


def add_heads(
    backbone: PreTrainedModel,
    config: EncoderConfig,
    *,
    exchange_dimension: int,
    classes: int,
    seed: int,
) -> Encoder:
    """Wrap a backbone into an `Encoder`; heads that its folder does not hold are drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "heads"))
        pooling = pooling_of(config)
        encoder = Encoder(backbone, pooling, config.projection, exchange_dimension, classes)
    restore_heads(encoder, config)
    return encoder


def load_tokenizer(config: EncoderConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer that belongs to a loaded encoder.

    Raises:
        ModelError: the folder or name has no usable tokenizer.
    """
    origin = config.origin
    _require_folder(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(origin, local_files_only=config.path is not None)
    except Exception as error:  # safetensors and tokenizers raise bare ones
        raise ModelError(
            f"no tokenizer can be loaded from {origin!r}: {_first_line(error)}",
            expected="tokenizer.json or a vocabulary beside the model",
            mend="save it there with tokenizer.save_pretrained(folder)",
        ) from error
    if tokenizer.pad_token_id is None:
        # Decoders often have none; padding is masked, so any known token serves.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"  # as batches are padded, so that an exported encoder does too
    return tokenizer


def width_of(config: EncoderConfig) -> int:
    """Return the width of an encoder's backbone without building it.

    Raises:
        ModelError: the folder or name cannot be read.
    """
    if config.from_scratch:
        return PRESETS[config.preset or "tiny"].width
    return int(_load_config(config).hidden_size)


def _preset(config: EncoderConfig, vocabulary_size: int, padding_id: int) -> BertConfig:
    size = PRESETS[config.preset or "tiny"]
    return BertConfig(
        vocab_size=vocabulary_size,
        num_hidden_layers=size.layers,
        hidden_size=size.width,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=_POSITIONS,
        pad_token_id=padding_id,
        hidden_dropout_prob=0.1 if config.dropout is None else config.dropout,
        attention_probs_dropout_prob=0.0,
    )


def _load(config: EncoderConfig, vocabulary_size: int) -> PreTrainedModel:
    origin = config.origin
    model_config = _load_config(config)
    if config.dropout is not None:
        _set_dropout(model_config, config.dropout)
    try:
        with no_progress_bars():
            model: PreTrainedModel = AutoModel.from_pretrained(
                origin,
                config=model_config,
                local_files_only=config.path is not None,
                dtype=torch.float32,
            )
    except Exception as error:  # safetensors and tokenizers raise bare ones
        raise _unloadable(origin, error) from error
    rows = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[index]
    if rows < vocabulary_size:
        raise ModelError(
            f"the tokenizer of {origin!r} knows more tokens than its encoder",
            expected=f"at most {rows} tokens",
            actual=vocabulary_size,
            mend="save the tokenizer that the encoder was trained with beside it",
        )
    return model


def _load_config(config: EncoderConfig) -> PretrainedConfig:
    _require_folder(config)
    try:
        loaded: PretrainedConfig = AutoConfig.from_pretrained(
            config.origin, local_files_only=config.path is not None
        )
        if not hasattr(loaded, "hidden_size"):
            raise ValueError(f"a {loaded.model_type} is not a model of text alone")
        if loaded.is_encoder_decoder:
            raise ValueError(f"a {loaded.model_type} is an encoder-decoder; take its encoder alone")
        return loaded
    except Exception as error:  # safetensors and tokenizers raise bare ones
        raise _unloadable(config.origin, error) from error


def _unloadable(origin: str, error: Exception) -> ModelError:
    return ModelError(
        f"no encoder can be loaded from {origin!r}: {_first_line(error)}",
        expected="a folder with config.json and model.safetensors, or a name in the local cache",
        mend="save one with model.save_pretrained(folder), or use encoder.preset",
    )


def _require_folder(config: EncoderConfig) -> None:
    if config.path is not None and not Path(config.path).is_dir():
        raise ModelError(
            "encoder.path is not a folder",
            expected="a folder saved by save_pretrained",
            actual=config.path,
            mend="give the folder's path, relative to where agentos is started",
        )


def _set_dropout(model_config: Any, dropout: float) -> None:
    for name in _DROPOUTS:
        if hasattr(model_config, name):
            setattr(model_config, name, dropout)


def _freeze_unused(backbone: nn.Module) -> None:
    """Freeze BERT's pooler: pooling bypasses it, so it would only decay, and cost bytes to exchange."""
    pooler = getattr(backbone, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)


def _mlp(width: int, projection: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
