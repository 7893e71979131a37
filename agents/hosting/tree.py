"""Taking a tree of containers, plain values, tensors and arrays apart, and putting it together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = (bool, int, float, str, type(None))


def take_apart(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a tree's skeleton, fit for JSON, and its tensors and arrays by the name that stands in for each.

    The tensors are the tree's own, without their graph; arrays are copied.

    Raises:
        TypeError: the tree holds something else than dictionaries, lists, tuples, plain values, tensors and
            arrays.

    Example:
        >>> take_apart({"step": 3, "moments": [torch.zeros(2)]})
        ({'dict': [['step', 3], ['moments', {'list': [{'tensor': '000000'}]}]]}, {'000000': tensor([0., 0.])})
    """
    tensors: dict[str, Tensor] = {}
    return _describe(value, tensors), tensors


def put_together(skeleton: Any, tensor: Callable[[str], Tensor]) -> Any:
    """Rebuild a tree: the same types, the same keys, the same bits.

    Args:
        skeleton: from `take_apart`.
        tensor: gives the tensor of each name.
    """
    if type(skeleton) in _PLAIN:
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensor(content)
    if kind == "array":
        return tensor(content).cpu().numpy()
    if kind == "dict":
        return {put_together(k, tensor): put_together(v, tensor) for k, v in content}
    items = [put_together(each, tensor) for each in content]
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
        if type(each) in _PLAIN:  # most are, and asking whether something is a tensor takes a while
            continue
        if isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, (list, tuple)):
            left.extend(each)
        elif isinstance(each, (Tensor, np.ndarray)):
            found += each.nbytes
    return found


def _describe(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a JSON value in which every container and tensor says what it is."""
    if type(value) in _PLAIN:
        return value
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
