"""Export of encoders to folders that Hugging Face's libraries load."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.models.adapters import adapter_state, save_adapters
from agents.models.encoder import Encoder
from agents.models.heads import save_heads
from agents.models.pretrained import no_progress_bars
from agents.models.sentence_transformer import write_sentence_transformer
from agents.text.collate import Collator


def export(
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    collate: Collator,
    directory: Path,
    max_length: int,
) -> None:
    """Write an encoder as a folder that transformers, sentence-transformers and `encoder.path` load.

    Args:
        encoder: saved with its language-model head as one model; of one with adapters, only those are saved.
        tokenizer: of the encoder.
        collate: of that tokenizer.
        directory: created.
        max_length: tokens of an embedded text, special tokens included.
    """
    adapted = adapter_state(encoder.backbone) is not None
    with no_progress_bars():
        if adapted:
            save_adapters(encoder.backbone, directory)
        elif encoder.language_head is not None:
            _save_language_model(encoder, collate, directory)
        else:
            encoder.backbone.save_pretrained(directory, state_dict=_copy_of(encoder.backbone))
    tokenizer.save_pretrained(directory)
    # With adapters the model is not saved whole, so its language-model head goes with the other heads.
    save_heads(encoder, directory, language_head=adapted)
    write_sentence_transformer(
        directory, pooling=encoder.pooling, width=encoder.width, max_length=max_length
    )


def _save_language_model(encoder: Encoder, collate: Collator, directory: Path) -> None:
    """Save backbone and language-model head as one model.

    ``AutoModelForMaskedLM`` or ``AutoModelForCausalLM`` loads it with the head, ``AutoModel`` without. For
    a decoder the tokens that begin, end and pad a text are saved too, for ``generate``.
    """
    head = encoder.language_head
    assert head is not None
    model = head.attached(encoder.backbone)
    try:
        if head.kind == "causal":
            _set_generation_tokens(model, collate)
        model.save_pretrained(directory, state_dict=_copy_of(model))
    finally:
        head.detach()


def _copy_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's weights out of the flat buffer; tied weights stay one tensor.

    safetensors refuses tensors that share storage, unless transformers recognises them as tied.
    """
    copies: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        key = (value.data_ptr(), tuple(value.shape))
        weights[name] = copies[key] = copies.get(key, value.clone())
    return weights


def _set_generation_tokens(model: PreTrainedModel, collate: Collator) -> None:
    """Set the tokens that begin, end and pad a text in a model's generation settings, where unset."""
    settings = model.generation_config
    settings._from_model_config = (
        False  # otherwise transformers derives the settings again, without these
    )
    known = {
        "bos_token_id": collate.prefix[-1] if collate.prefix else collate.end_token,
        "eos_token_id": collate.end_token,
        "pad_token_id": collate.padding_id,
    }
    for name, token in known.items():
        if getattr(settings, name) is None:
            setattr(settings, name, token)
