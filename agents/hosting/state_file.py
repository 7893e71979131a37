"""A tree of values in one file that cannot run code, such as an agent's whole state.

A tree consists of dictionaries, lists, tuples, plain values, tensors and arrays. Tensors and arrays are
written by safetensors. The skeleton stands in the file's header as JSON, with a name in the place of each of
them; so reading it back gives the same types, the same keys and the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from agents.hosting.tree import put_together, take_apart
from agents.training.shared_model import AgentState
from protocols.errors import RecordError

T = TypeVar("T")

FORMAT = "agentos-state-1"
_UNREADABLE = (
    AttributeError,
    KeyError,
    OSError,
    RecursionError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


def state_file(agent: int) -> str:
    """Return the name of an agent's file."""
    return f"agent-{agent}.safetensors"


def save_state(state: AgentState, path: Path) -> str:
    """Write a state to a file, whole or not at all; see `save_tree`."""
    return save_tree({each.name: getattr(state, each.name) for each in fields(state)}, path)


def save_tree(tree: Any, path: Path) -> str:
    """Write a tree to a file, whole or not at all; return the file's SHA-256.

    Raises:
        TypeError: it holds something else than containers, plain values, tensors and arrays.
        OSError: the file cannot be written.
    """
    skeleton, tensors = take_apart(tree)
    # Cloned: parts of one buffer may not be written twice.
    whole = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    content = save(whole, metadata={FORMAT: json.dumps(skeleton)})
    draft = path.with_name(f".{path.name}.tmp")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()


def load_state(path: Path, device: torch.device, sha256: str | None = None) -> AgentState:
    """Read what `save_state` wrote.

    Args:
        path: of the file.
        device: for the tensors.
        sha256: that the file must have.

    Raises:
        RecordError: the file is missing, is not the one that was written, or is damaged.
    """
    return load_tree(path, lambda values: _checked(AgentState(**values)), sha256, device)


def load_tree(
    path: Path,
    build: Callable[[Any], T],
    sha256: str | None = None,
    device: torch.device | None = None,
) -> T:
    """Read what `save_tree` wrote.

    Args:
        path: of the file.
        build: makes of the tree what is asked for; its errors mean that the file is damaged.
        sha256: that the file must have.
        device: for the tensors; None for the CPU.

    Raises:
        RecordError: the file is missing, is not the one that was written, or is damaged.
    """
    try:
        if sha256 is not None and digest(path) != sha256:
            raise ValueError("its SHA-256 is not the one that was noted when it was written")
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            header = file.metadata() or {}
            if FORMAT not in header:
                raise ValueError("it is of another format")
            return build(put_together(json.loads(header[FORMAT]), file.get_tensor))
    except _UNREADABLE as error:
        raise RecordError(
            f"the checkpoint {path} cannot be read",
            expected=f"a whole file of the format {FORMAT}",
            actual=str(error),
            hint="resume from an earlier round with --round, or run again",
        ) from error


def _checked(state: AgentState) -> AgentState:
    """Return a state whose fields are what they should be; what is within memories is their owners'."""
    if not (isinstance(state.parameters, torch.Tensor) and state.parameters.dtype == torch.float32):
        raise TypeError("its parameters are not a float32 tensor")
    if state.parameters.ndim != 1 or type(state.memory) is not dict:
        raise TypeError("its parameters are not flat, or its memory is no dictionary")
    for name in ("step", "batches", "read", "anchors_read", "embedded_tokens"):
        if type(getattr(state, name)) is not int or getattr(state, name) < 0:
            raise TypeError(f"{name} is no count")
    for name in ("optimizer", "objectives"):
        parts = getattr(state, name)
        if type(parts) is not list or any(type(part) is not dict for part in parts):
            raise TypeError(f"{name} is no list of dictionaries")
    return state


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
