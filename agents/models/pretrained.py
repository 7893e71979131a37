"""Loading of pretrained backbones and tokenizers from a folder or by their Hugging Face name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from agents.config import PRESETS, EncoderConfig
from agents.models.adapters import base_model_of, full_model_of, merge_adapters
from protocols.errors import ModelError

logger = logging.getLogger(__name__)

_DROPOUTS = (
    *("hidden_dropout_prob", "dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop"),
    *("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"),
)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Disable transformers' progress bars within the context, one per encoder loaded or saved."""
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()


@contextmanager
def quietly() -> Iterator[None]:
    """Disable transformers' progress bars and its lists of unused weights within the context."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with no_progress_bars():
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)


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
            expected="tokenizer.json or a vocabulary in the folder of the model",
            hint="save it there with tokenizer.save_pretrained(folder)",
        ) from error
    if tokenizer.pad_token_id is None:
        # Decoders often have none. Padding is masked out, so any token of the vocabulary serves.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"  # as `Collator` does, so that exported encoders pad alike
    return tokenizer


def width_of(config: EncoderConfig) -> int:
    """Return the width of an encoder's backbone without building the backbone.

    Raises:
        ModelError: the folder or name cannot be read.
    """
    if config.from_scratch:
        return PRESETS[config.preset or "tiny"].width
    return int(load_config(config).hidden_size)


def load_backbone(config: EncoderConfig, vocabulary_size: int) -> PreTrainedModel:
    """Load a backbone from its folder or by its name, and merge adapters saved there.

    Raises:
        ModelError: it cannot be loaded, or its vocabulary is smaller than the tokenizer's.
    """
    model: PreTrainedModel
    origin = config.origin
    model_config = load_config(config)
    if config.dropout is not None:
        _set_dropout(model_config, config.dropout)
    base = base_model_of(config)
    source = base or origin
    try:
        with quietly():
            model, report = AutoModel.from_pretrained(
                source,
                config=model_config,
                local_files_only=Path(source).is_dir(),
                dtype=torch.float32,
                output_loading_info=True,
            )
            if base is not None and config.lora is None:
                model = merge_adapters(model, Path(origin))
    except Exception as error:  # safetensors and tokenizers raise bare ones
        raise _unloadable(origin, error) from error
    # A missing pooler does no harm: pooling bypasses it.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        logger.warning(
            "%s lacks weights, which are initialised at random: %s", origin, ", ".join(missing)
        )
    rows = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[index]
    if rows < vocabulary_size:
        raise ModelError(
            f"the tokenizer of {origin!r} has more tokens than its encoder",
            expected=f"at most {rows} tokens",
            actual=vocabulary_size,
            hint="save the tokenizer that the encoder was trained with in its folder",
        )
    return model


def load_config(config: EncoderConfig) -> PretrainedConfig:
    """Load the architecture of a pretrained backbone.

    Raises:
        ModelError: it cannot be loaded, or is not a text encoder or decoder.
    """
    _require_folder(config)
    try:
        origin = full_model_of(config)
        loaded: PretrainedConfig = AutoConfig.from_pretrained(
            origin, local_files_only=Path(origin).is_dir()
        )
        if not hasattr(loaded, "hidden_size"):
            raise ValueError(f"a {loaded.model_type} is not a text-only model")
        if loaded.is_encoder_decoder:
            raise ValueError(
                f"a {loaded.model_type} is an encoder-decoder; save its encoder by itself"
            )
        return loaded
    except Exception as error:  # safetensors and tokenizers raise bare ones
        raise _unloadable(config.origin, error) from error


def _unloadable(origin: str, error: Exception) -> ModelError:
    return ModelError(
        f"no encoder can be loaded from {origin!r}: {_first_line(error)}",
        expected="a folder with config.json and model.safetensors, or a name in the local cache",
        hint="save one with model.save_pretrained(folder), or use encoder.preset",
    )


def _require_folder(config: EncoderConfig) -> None:
    if config.path is not None and not Path(config.path).is_dir():
        raise ModelError(
            "encoder.path is not a folder",
            expected="a folder saved by save_pretrained",
            actual=config.path,
            hint="give the folder's path, absolute or relative to the working directory",
        )


def _set_dropout(model_config: Any, dropout: float) -> None:
    for name in _DROPOUTS:
        if hasattr(model_config, name):
            setattr(model_config, name, dropout)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
