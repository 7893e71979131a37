"""The heads of an encoder in a file beside its backbone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from protocols.errors import ModelError

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

logger = logging.getLogger(__name__)
FILE = "heads.safetensors"


def head_tensors(encoder: Encoder) -> dict[str, Tensor]:
    """Return the tensors outside the backbone by name; those tied to others are left out."""
    seen: set[int] = set()
    heads: dict[str, Tensor] = {}
    for name, value in encoder.state_dict(keep_vars=True).items():
        if id(value) not in seen and not name.startswith("backbone."):
            heads[name] = value
        seen.add(id(value))
    return heads


def save_heads(encoder: Encoder, directory: Path, language_head: bool) -> None:
    """Save the heads, if there are any; that of a language model only where the model is not saved whole."""
    # Cloned: the parameters are views of one buffer, which the format does not allow.
    heads = {
        name: value.detach().clone()
        for name, value in head_tensors(encoder).items()
        if language_head or not name.startswith("language_head.")
    }
    if heads:
        save_file(heads, directory / FILE)


def restore_heads(encoder: Encoder, directory: Path) -> None:
    """Load what objectives have trained beside a backbone: its projection, and `Encoder.heads`.

    A head that was not saved, or that has other shapes now, stays as it was drawn; the log says so. Heads
    of exchanges belong to the run they were trained in, and are never loaded.

    Raises:
        ModelError: the file is damaged.
    """
    path = directory / FILE
    if not path.is_file():
        return
    saved = _load(path)
    own = head_tensors(encoder)
    names = ["projection", *(f"heads.{name}" for name in encoder.heads)]
    if any(name.startswith("language_head.") for name in saved):
        names.append("language_head")
    for head in names:
        _restore(head, {k: v for k, v in own.items() if k.startswith(f"{head}.")}, saved, path)


def holds_language_head(directory: Path) -> bool:
    """Whether the head of a language model lies among the heads beside a backbone.

    Raises:
        ModelError: the file is damaged.
    """
    path = directory / FILE
    return path.is_file() and any(name.startswith("language_head.") for name in _load(path))


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(
            f"the heads beside an encoder cannot be read: {error}",
            expected="a file of safetensors",
            actual=str(path),
            hint="delete it to begin with new heads, or save the encoder again",
        ) from error


def _restore(head: str, own: dict[str, Tensor], saved: dict[str, Tensor], path: Path) -> None:
    unlike = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    if unlike:
        problem = "another shape" if unlike[0] in saved else "nothing"
        logger.warning("%s has %s for %s: it is drawn anew", path, problem, unlike[0])
        return
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])
