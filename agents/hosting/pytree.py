"""Flattening of a tree of containers, plain values, tensors and arrays, and its reconstruction.

Files and the spill file share it. A skeleton is plain JSON: rebuilding one can make dictionaries, lists,
tuples, plain values, tensors and arrays, and nothing else, so a skeleton from an untrusted file runs no code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = (bool, int, float, str, type(None))


def flatten(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a tree's skeleton, fit for JSON, and its tensors and arrays by the names in the skeleton.

    The tensors are the tree's own, without their graph; arrays are copied. NumPy scalars become Python's.

    Raises:
        TypeError: the tree holds something other than dictionaries, lists, tuples, plain values, tensors and
            arrays.

    Example:
        >>> flatten({"step": 3, "moments": [torch.zeros(2)]})
        ({'dict': [['step', 3], ['moments', {'list': [{'tensor': '000000'}]}]]}, {'000000': tensor([0., 0.])})
    """
    tensors: dict[str, Tensor] = {}
    return _describe(value, tensors), tensors


def unflatten(skeleton: Any, tensor: Callable[[str], Tensor]) -> Any:
    """Rebuild a tree: the same types, the same keys, the same bits.

    Args:
        skeleton: the skeleton that `flatten` returned.
        tensor: returns the tensor of each name.

    Raises:
        ValueError, TypeError, KeyError or AttributeError: the skeleton is not from `flatten`.
    """
    if type(skeleton) in _PLAIN:
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensor(content)
    if kind == "array":
        return tensor(content).cpu().numpy()
    if kind == "dict":
        return {unflatten(k, tensor): unflatten(v, tensor) for k, v in content}
    items = [unflatten(each, tensor) for each in content]
    return {"list": items, "tuple": tuple(items)}[kind]


def tree_bytes(value: Any) -> int:
    """Return the bytes of all tensors and arrays in a tree.

    Example:
        >>> tree_bytes({"step": 3, "moments": [torch.zeros(2), np.zeros(1)]})
        16
    """
    found, left = 0, [value]
    while left:
        each = left.pop()
        if type(each) in _PLAIN:  # first, since most are, and instance checks of tensors are slow
            continue
        if isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, (list, tuple)):
            left.extend(each)
        elif isinstance(each, (Tensor, np.ndarray)):
            found += each.nbytes
    return found


def _describe(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a JSON value in which every container and tensor is marked with its kind."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (Tensor, np.ndarray)):
        name = f"{len(tensors):06d}"
        if isinstance(value, np.ndarray):
            tensors[name] = torch.from_numpy(np.array(value, order="C"))
            return {"array": name}
        tensors[name] = value.detach()
        return {"tensor": name}
    if type(value) is dict:
        pairs = [[_describe(k, tensors), _describe(v, tensors)] for k, v in value.items()]
        return {"dict": pairs}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_describe(each, tensors) for each in value]}
    raise TypeError(f"a state cannot hold {type(value).__name__}: {value!r}"[:200])
