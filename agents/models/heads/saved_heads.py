"""Saving and restoring of an encoder's heads, in a file next to its backbone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.models.encoder import Encoder
from agents.models.heads.label_head import LabelHead
from protocols.errors import ModelError

logger = logging.getLogger(__name__)
FILE = "heads.safetensors"
_CLASSIFIER = "heads.labels."
_LABELS = "labels"


def head_tensors(encoder: Encoder) -> dict[str, Tensor]:
    """Return the tensors outside the backbone by name; tied tensors only once."""
    seen: set[int] = set()
    heads: dict[str, Tensor] = {}
    for name, value in encoder.state_dict(keep_vars=True).items():
        if id(value) not in seen and not name.startswith("backbone."):
            heads[name] = value
        seen.add(id(value))
    return heads


def save_heads(
    encoder: Encoder, directory: Path, language_head: bool, labels: Sequence[str] = ()
) -> None:
    """Save the heads, if there are any.

    Args:
        encoder: encoder whose heads are saved.
        directory: folder of the backbone.
        language_head: include the language-model head, which a language model saved whole has already.
        labels: names of the classes of the agent's own labels, if it has learnt any.
    """
    # Cloned, because the parameters are views of one buffer and safetensors refuses shared storage.
    heads = {
        name: value.detach().clone()
        for name, value in head_tensors(encoder).items()
        if language_head or not name.startswith("language_head.")
    }
    if heads:
        save_file(heads, directory / FILE, {_LABELS: json.dumps(list(labels))} if labels else None)


def load_label_head(directory: Path) -> tuple[LabelHead, tuple[str, ...]] | None:
    """Load the classifier of an agent's own labels, and the names of its classes; None if there is none.

    Raises:
        ModelError: the file is damaged.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    saved = _load(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    own = {
        name.removeprefix(_CLASSIFIER): value
        for name, value in saved.items()
        if name.startswith(_CLASSIFIER)
    }
    if _LABELS not in metadata or not own:
        return None
    try:
        names = json.loads(metadata[_LABELS])
        head = LabelHead(own["linear.weight"].shape[1], len(names))
        head.load_state_dict(own)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(
            "the classifier of an agent's own labels cannot be read",
            expected="the weights of a LabelHead, and a name for each of its classes",
            actual=f"{str(error).splitlines()[0][:200]} in {path}",
            hint="save the encoder again",
        ) from error
    return head.eval(), tuple(map(str, names))


def restore_heads(encoder: Encoder, directory: Path) -> None:
    """Load the saved heads of objectives: the projection, and those in `Encoder.heads`.

    A head that was not saved, or has other shapes now, keeps its initial weights with a warning. Heads of
    exchanges belong to the run that trained them and are never loaded.

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
    """Return whether the saved heads include a language-model head.

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
            f"the saved heads of an encoder cannot be read: {error}",
            expected="a safetensors file",
            actual=str(path),
            hint="delete it to start with new heads, or save the encoder again",
        ) from error


def _restore(head: str, own: dict[str, Tensor], saved: dict[str, Tensor], path: Path) -> None:
    unusable = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    if unusable:
        problem = "has another shape for" if unusable[0] in saved else "lacks"
        logger.warning(
            "%s %s %s, so that head keeps its initial weights", path, problem, unusable[0]
        )
        return
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])
