"""Export of an encoder and the classifier of its own labels, for transformers alone."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.models.encoder import Encoder
from agents.models.heads import text_classifier
from agents.models.heads.label_head import LabelHead

logger = logging.getLogger(__name__)
FOLDER = "classifier"
"""Folder of the classifier, next to the encoder's files."""


def export_classifier(
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    *,
    max_length: int,
    names: Sequence[str],
) -> None:
    """Save an encoder with its `LabelHead` as a model of ``AutoModelForSequenceClassification``.

    The folder holds the module that it is loaded with (`agents.models.heads.text_classifier`), the weights of
    the backbone once more, adapters merged, and the tokenizer. It is not written where there is no such head,
    or where the backbone itself is foreign code.

    Args:
        encoder: encoder to save.
        tokenizer: the encoder's tokenizer.
        directory: folder to create.
        max_length: tokens at which the saved tokenizer truncates, special tokens included.
        names: names of the classes.
    """
    heads = [head for head in encoder.heads.values() if isinstance(head, LabelHead)]
    if not heads or not names:
        return
    backbone = encoder.backbone
    if not isinstance(getattr(transformers, type(backbone).__name__, None), type):
        logger.warning(
            "the classifier is not exported: %s is foreign code", type(backbone).__name__
        )
        return
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {f"backbone.{name}": value for name, value in _merged_weights(backbone).items()}
    for name in ("linear.weight", "linear.bias", "mean"):
        tensors[name] = heads[0].state_dict()[name].clone()
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    tokenizer.save_pretrained(directory)
    _change(directory / "tokenizer_config.json", {"model_max_length": max_length})
    source = Path(text_classifier.__file__)
    shutil.copyfile(source, directory / source.name)
    _change(directory / "config.json", _configuration(encoder, names))


def _configuration(encoder: Encoder, names: Sequence[str]) -> dict[str, Any]:
    classes = (text_classifier.TextClassifierConfig, text_classifier.TextClassifier)
    config, model = (f"{text_classifier.__name__.rpartition('.')[2]}.{c.__name__}" for c in classes)
    return {
        "architectures": [text_classifier.TextClassifier.__name__],
        "auto_map": {"AutoConfig": config, "AutoModelForSequenceClassification": model},
        "backbone": json.loads(encoder.backbone.config.to_json_string(use_diff=False)),
        "backbone_class": type(encoder.backbone).__name__,
        "dtype": "float32",
        "id2label": {str(code): name for code, name in enumerate(names)},
        "label2id": {name: code for code, name in enumerate(names)},
        "model_type": text_classifier.TextClassifierConfig.model_type,
        "pooling": encoder.pooling,
    }


def _merged_weights(backbone: PreTrainedModel) -> dict[str, Tensor]:
    """Return copies of a backbone's weights, with adapters merged into the matrices that they change."""
    # Not at the top: see `agents.models.adapters`.
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(backbone)
    for module in merged.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
    return {
        name.replace(".base_layer.", "."): value.clone()
        for name, value in merged.state_dict().items()
        if ".lora_" not in name
    }


def _change(path: Path, values: dict[str, Any]) -> None:
    """Set some values of a JSON file, which need not exist."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    text = json.dumps({**kept, **values}, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
