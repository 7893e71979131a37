"""Functions and classes of `agents.models` that need torch, imported when they are first used.

Reading a configuration must not import torch, and the coordinator of a run must not wait for it before it
needs it: a mistake in the data is reported at once, and Ray starts while torch is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from agents.config import PRESETS, EncoderConfig

if TYPE_CHECKING:
    from agents.models.build import meta_backbone as meta_backbone
    from agents.models.cpu.byte_dropout import dropout_of as dropout_of
    from agents.models.encoder import pool as pool
    from agents.models.heads.label_head import LabelHead as LabelHead
    from agents.models.heads.text_decoder import MaskedGenerator as MaskedGenerator
    from agents.models.heads.text_decoder import TextDecoder as TextDecoder
    from agents.models.pretrained import load_tokenizer as load_tokenizer
    from agents.models.pretrained import loaded_width as loaded_width

_EXPORTS = {
    "LabelHead": "agents.models.heads.label_head",
    "MaskedGenerator": "agents.models.heads.text_decoder",
    "TextDecoder": "agents.models.heads.text_decoder",
    "dropout_of": "agents.models.cpu.byte_dropout",
    "meta_backbone": "agents.models.build",
    "pool": "agents.models.encoder",
    "load_tokenizer": "agents.models.pretrained",
    "loaded_width": "agents.models.pretrained",
}

__all__ = [
    "LabelHead",
    "MaskedGenerator",
    "TextDecoder",
    "dropout_of",
    "meta_backbone",
    "pool",
    "load_tokenizer",
    "loaded_width",
    "width_of",
]


def __getattr__(name: str) -> Any:
    """Import a function when it is first asked for."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def width_of(config: EncoderConfig) -> int:
    """Return the width of an encoder's backbone without building the backbone.

    Raises:
        ModelError: the folder or name cannot be read.
    """
    if config.from_scratch:
        return PRESETS[config.preset or "tiny"].width
    width: int = __getattr__("loaded_width")(config)
    return width
