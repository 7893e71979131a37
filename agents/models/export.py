"""Export of encoders to folders that Hugging Face's libraries load."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.models.adapters import adapter_state, save_adapters
from agents.models.encoder import Encoder
from agents.models.heads.classifier_export import FOLDER, export_classifier
from agents.models.heads.saved_heads import save_heads
from agents.models.pretrained import no_progress_bars
from agents.models.sentence_transformer import DENSE, MAPS, MODES, OTHER_MODES, POOLING
from agents.models.text_encoder import EmbeddingMap
from agents.text.collate import Collator


def export(
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    collate: Collator,
    directory: Path,
    max_length: int,
    labels: Sequence[str] = (),
    map: tuple[str, EmbeddingMap] | None = None,
) -> None:
    """Write an encoder as a folder that transformers, sentence-transformers and `encoder.path` load.

    Args:
        encoder: encoder to save, with its language-model head as one model; of adapters, only these are
        saved.
        tokenizer: the encoder's tokenizer.
        collate: the collator of that tokenizer.
        directory: folder to create.
        max_length: tokens of an embedded text, special tokens included.
        labels: names of the classes of the agent's own labels, if it has learnt any; the classifier is
            exported with the encoder, see `agents.models.heads.classifier_export`.
        map: name and value of the map that sentence-transformers applies to embeddings; None for none.
    """
    _keep_second_names(directory)
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
    save_heads(encoder, directory, language_head=adapted, labels=labels)
    write_sentence_transformer(
        directory, pooling=encoder.pooling, width=encoder.width, max_length=max_length, map=map
    )
    export_classifier(encoder, tokenizer, directory / FOLDER, max_length=max_length, names=labels)
    _set_modes(directory)


def _keep_second_names(directory: Path) -> None:
    """Remove files that have a second name elsewhere: writing into them would change those too."""
    for path in directory.rglob("*"):
        if path.is_file() and path.stat().st_nlink > 1:
            path.unlink()


def _set_modes(directory: Path) -> None:
    """Give every file the mode that new files have here; safetensors makes its own for the owner alone."""
    probe = directory / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def write_sentence_transformer(
    directory: Path,
    *,
    pooling: str,
    width: int,
    max_length: int,
    map: tuple[str, EmbeddingMap] | None = None,
) -> None:
    """Write the files with which ``SentenceTransformer(directory)`` embeds as the agent does.

    The keys are those of the library's second major version, which later versions read as well.

    Args:
        directory: holds the model and its tokenizer already.
        pooling: ``mean``, ``cls`` or ``last``.
        width: of the backbone.
        max_length: tokens of a text when it is embedded, special tokens included.
        map: name, a key of `MAPS`, and value of the map that embeddings pass; None for none.
    """
    modules = [("", "Transformer"), (POOLING, "Pooling")]
    if map is not None:
        modules.append((MAPS[map[0]], "Dense"))
        _write_dense(directory / MAPS[map[0]], map[1], width)
    _write(
        directory / "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{name}",
            }
            for index, (path, name) in enumerate(modules)
        ],
    )
    modes = {key: name == pooling for name, key in MODES.items()}
    _write(
        directory / POOLING / "config.json",
        {"word_embedding_dimension": width, **modes, **dict.fromkeys(OTHER_MODES, False)},
    )
    length = {"max_seq_length": max_length, "do_lower_case": False}
    _write(directory / "sentence_bert_config.json", length)
    _write(
        directory / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def _write_dense(directory: Path, map: EmbeddingMap, width: int) -> None:
    weight = np.eye(width, dtype=np.float32) if map.weight is None else map.weight
    sizes = {"in_features": width, "out_features": len(weight)}
    _write(directory / "config.json", {**sizes, **DENSE})
    linear = {"linear.weight": torch.tensor(weight), "linear.bias": torch.tensor(map.bias)}
    save_file(linear, directory / "model.safetensors")


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
    """Set the tokens that begin, end and pad a text in a model's generation settings, if unset."""
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


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")
