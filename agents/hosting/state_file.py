"""File format of checkpoints: a tree of values, such as an agent's whole state, that cannot run code.

A tree consists of dictionaries, lists, tuples, plain values, tensors and arrays; see `agents.hosting.pytree`.
Tensors and arrays are written by safetensors, and the skeleton as JSON in the file's header. Reading it back
gives the same types, the same keys and the same bits. The classes of an agent's states come from the run's
configuration, never from the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from agents.hosting.pytree import flatten, unflatten
from agents.training.state import AgentState, StateTypes
from protocols.errors import RecordError

T = TypeVar("T")

FORMAT = "agentos-state-2"
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
    return save_tree(state.to_tree(), path)


def save_tree(tree: Any, path: Path) -> str:
    """Write a tree to a file, whole or not at all; return the file's SHA-256.

    Raises:
        TypeError: it holds something other than containers, plain values, tensors and arrays.
        OSError: the file cannot be written.
    """
    skeleton, tensors = flatten(tree)
    # Cloned: safetensors refuses tensors that share memory.
    whole = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    content = save(whole, metadata={FORMAT: json.dumps(skeleton)})
    partial = path.with_name(f".{path.name}.tmp")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()


def load_state(
    path: Path,
    types: StateTypes,
    device: torch.device,
    sha256: str | None = None,
    afresh: bool = False,
) -> AgentState:
    """Read a state from a file.

    Args:
        path: file to read.
        types: classes of the states that the run's exchange and objectives keep.
        device: device for the tensors.
        sha256: the expected digest of the file; None does not check it.
        afresh: whether to drop the exchange's state, which may be of another exchange.

    Raises:
        RecordError: the file is missing, is not the file that was written, or is damaged.
    """

    def build(tree: Any) -> AgentState:
        if afresh:
            return AgentState.from_tree({**tree, "exchange": []}, types._replace(exchange=()))
        return AgentState.from_tree(tree, types)

    return load_tree(path, build, sha256, device)


def load_tree(
    path: Path,
    build: Callable[[Any], T],
    sha256: str | None = None,
    device: torch.device | None = None,
) -> T:
    """Read a tree from a file.

    Args:
        path: file to read.
        build: converts the tree to the result; its errors mean that the file is damaged.
        sha256: the expected digest of the file; None does not check it.
        device: device for the tensors; None for the CPU.

    Raises:
        RecordError: the file is missing, is not the file that was written, or is damaged.
    """
    try:
        if sha256 is not None and digest(path) != sha256:
            raise ValueError("its SHA-256 differs from the one recorded when it was written")
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            header = file.metadata() or {}
            if FORMAT not in header:
                raise ValueError("it has another format")
            # Copied: where a tensor begins in the file decides on the kernels that small batches take, and so
            # on the last bit of their results.
            skeleton = json.loads(header[FORMAT])
            return build(unflatten(skeleton, lambda name: file.get_tensor(name).clone()))
    except _UNREADABLE as error:
        raise RecordError(
            f"the checkpoint {path} cannot be read",
            expected=f"a whole file of the format {FORMAT}",
            actual=str(error),
            hint="resume from an earlier round with --round, or run again",
        ) from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
