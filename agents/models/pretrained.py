"""Loading of pretrained backbones and tokenizers from a folder or by their Hugging Face name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.normalizers import Lowercase, Sequence
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from agents.config import EncoderConfig, base_model_of, full_model_of
from agents.models.adapters import merge_adapters
from agents.models.sentence_transformer import read_settings
from agents.text.tokenizer_bounds import require_bounded
from protocols.errors import ModelError

logger = logging.getLogger(__name__)

_DROPOUTS = (
    *("hidden_dropout_prob", "dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop"),
    *("dropout_rate", "embedding_dropout", "mlp_dropout"),
    *("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"),
)
_MOST = {
    "num_hidden_layers": 1_024,
    "hidden_size": 65_536,
    "intermediate_size": 524_288,
    **dict.fromkeys(("hidden_dim", "n_inner", "ffn_dim", "d_ff"), 524_288),
    "num_attention_heads": 1_024,
    "vocab_size": 4_194_304,
    "max_position_embeddings": 16_777_216,
    "type_vocab_size": 65_536,
}
"""Largest sizes in the configuration of a foreign encoder, each several times what is in use."""


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
        tokenizer = AutoTokenizer.from_pretrained(
            origin,
            local_files_only=config.path is not None,
            trust_remote_code=config.trust_remote_code,
        )
        require_bounded(tokenizer)
    except ModelError:
        raise
    except Exception as error:  # safetensors and tokenizers raise plain `Exception`
        raise ModelError(
            f"no tokenizer can be loaded from {origin!r}: {_first_line(error)}",
            expected="tokenizer.json or a vocabulary in the folder of the model",
            hint="if you trust its authors to run code as you, set encoder.trust_remote_code=true"
            if "custom code" in str(error)
            else "save it there with tokenizer.save_pretrained(folder)",
        ) from error
    if read_settings(config).lower_case:
        _lower_case(tokenizer, origin)
    if tokenizer.pad_token_id is None:
        # Decoders often have none. Padding is masked out, so any special token serves; any other would be
        # split off words once it is special.
        special = tokenizer.all_special_tokens
        tokenizer.pad_token = (
            tokenizer.eos_token or tokenizer.unk_token or next(iter(special), None)
        )
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of {origin!r} has no padding token, and no other special token to pad with",
            expected="a pad_token",
            actual="none",
            hint="name one with tokenizer.add_special_tokens({'pad_token': ...}), resize the embeddings of "
            "the model, and save both",
        )
    tokenizer.padding_side = "right"  # as `Collator` does, so that exported encoders pad alike
    return tokenizer


def loaded_width(config: EncoderConfig) -> int:
    """Return the width of a backbone that is loaded, from its settings alone.

    Raises:
        ModelError: the folder or name cannot be read.
    """
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
            model, report = model_class(model_config).from_pretrained(
                source,
                config=model_config,
                local_files_only=Path(source).is_dir(),
                trust_remote_code=config.trust_remote_code,
                dtype=torch.float32,
                output_loading_info=True,
            )
            if base is not None and config.lora is None:
                model = merge_adapters(model, Path(origin))
    except Exception as error:  # safetensors and tokenizers raise plain `Exception`
        raise _unloadable(origin, error) from error
    # A missing pooler is harmless: pooling bypasses it.
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


def model_class(architecture: PretrainedConfig) -> Any:
    """Return the class that builds and loads a backbone.

    `AutoModel`, except where the model was saved as the encoder of an encoder-decoder, such as
    ``T5EncoderModel``: `AutoModel` would build the decoder too.
    """
    for name in architecture.architectures or ():
        if name.endswith("EncoderModel") and isinstance(getattr(transformers, name, None), type):
            return getattr(transformers, name)
    return AutoModel


def positions_of(backbone: nn.Module) -> int | None:
    """Return the number of tokens that a backbone has positions for; None where there is no limit."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        # RoBERTa numbers positions from its padding id on.
        return table.num_embeddings - table.padding_idx - 1
    limit = getattr(backbone.config, "max_position_embeddings", None)
    # XLNet, whose positions are relative, says -1.
    return limit if isinstance(limit, int) and limit > 0 else None


def load_config(config: EncoderConfig) -> PretrainedConfig:
    """Load the architecture of a pretrained backbone.

    Raises:
        ModelError: it cannot be loaded, or is not a text encoder or decoder.
    """
    _require_folder(config)
    try:
        origin = full_model_of(config)
        loaded: PretrainedConfig = AutoConfig.from_pretrained(
            origin,
            local_files_only=Path(origin).is_dir(),
            trust_remote_code=config.trust_remote_code,
        )
        if not hasattr(loaded, "hidden_size"):
            raise ValueError(f"a {loaded.model_type} is not a text-only model")
        if model_class(loaded) is not AutoModel:
            loaded.is_encoder_decoder = False  # the encoder alone is loaded
        if loaded.is_encoder_decoder:
            raise ValueError(
                f"a {loaded.model_type} is an encoder-decoder; save its encoder by itself"
            )
        _require_bounded_sizes(loaded)
        attention = str(getattr(loaded, "_attn_implementation", None))
        if "/" in attention and not config.trust_remote_code:
            raise ValueError(f"its attention is custom code from the hub, {attention[:60]!r}")
        return loaded
    except Exception as error:  # safetensors and tokenizers raise plain `Exception`
        raise _unloadable(config.origin, error) from error


def _require_bounded_sizes(config: PretrainedConfig) -> None:
    """Refuse sizes that no text encoder has: building the model would take all memory or never end."""
    for name, most in _MOST.items():
        size = getattr(config, name, None)
        whole = isinstance(size, int) and not isinstance(size, bool)
        unlimited = size == -1 and name == "max_position_embeddings"  # XLNet's way to say so
        if size is not None and not unlimited and not (whole and 0 < size <= most):
            shown = repr(size)[:40] if not whole or size.bit_length() < 128 else "a larger number"
            raise ValueError(f"its config.json has {name} {shown}, not a number from 1 to {most}")


def _unloadable(origin: str, error: Exception) -> ModelError:
    return ModelError(
        f"no encoder can be loaded from {origin!r}: {_first_line(error)}",
        expected="a folder with config.json and model.safetensors, or a name in the local cache",
        hint="if you trust its authors to run code as you, set encoder.trust_remote_code=true"
        if "custom code" in str(error)
        else "save one with model.save_pretrained(folder), or use encoder.preset",
    )


def _require_folder(config: EncoderConfig) -> None:
    if config.path is not None and not Path(config.path).is_dir():
        raise ModelError(
            "encoder.path is not a folder",
            expected="a folder saved by save_pretrained",
            actual=config.path,
            hint="give the folder's path, absolute or relative to the working directory",
        )


def _lower_case(tokenizer: PreTrainedTokenizerBase, origin: str) -> None:
    """Have a tokenizer lower-case texts first, as sentence-transformers does for ``do_lower_case``."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"the tokenizer of {origin!r} is to lower-case texts, and has no normalizer to do so",
            expected="a tokenizer with tokenizer.json",
            actual=type(tokenizer).__name__,
            hint="save it as a fast tokenizer",
        )
    own = backend.normalizer
    steps: list[Any] = [] if own is None else [own]
    if isinstance(own, Sequence):
        steps = [own[index] for index in range(len(own))]
    if not any(isinstance(step, Lowercase) for step in steps):
        backend.normalizer = Sequence([Lowercase(), *steps])


def _set_dropout(model_config: Any, dropout: float) -> None:
    for name in _DROPOUTS:
        if hasattr(model_config, name):
            setattr(model_config, name, dropout)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
