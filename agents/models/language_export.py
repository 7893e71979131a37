"""Writing an encoder together with its language-model head, as Hugging Face's libraries expect it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agents.models.encoder import Encoder
    from agents.text.collate import Collator


def save_language_model(encoder: Encoder, collate: Collator, directory: Path) -> None:
    """Save backbone and language-model head as one model.

    ``AutoModelForMaskedLM`` or ``AutoModelForCausalLM`` loads it with the head, ``AutoModel`` without. For
    a decoder the tokens that begin, end and pad a text are saved too, for ``generate``.

    Args:
        encoder: has a language-model head.
        collate: knows those tokens.
        directory: a folder; created.
    """
    head = encoder.language_head
    assert head is not None
    model = head.attached(encoder.backbone)
    try:
        if head.kind == "causal":
            _tell_borders(model, collate)
        model.save_pretrained(directory, state_dict=copy_of(model))
    finally:
        head.detach()


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a model out of the buffer that they are views of; tied ones stay one tensor."""
    copies: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        key = (value.data_ptr(), tuple(value.shape))
        weights[name] = copies[key] = copies.get(key, value.clone())
    return weights


def _tell_borders(model: PreTrainedModel, collate: Collator) -> None:
    """Fill in which tokens begin, end and pad a text, where the model does not say so itself."""
    settings = model.generation_config
    settings._from_model_config = False  # or transformers would derive it again, without these
    known = {
        "bos_token_id": collate.prefix[-1] if collate.prefix else collate.end_token,
        "eos_token_id": collate.end_token,
        "pad_token_id": collate.padding_id,
    }
    for name, token in known.items():
        if getattr(settings, name) is None:
            setattr(settings, name, token)
