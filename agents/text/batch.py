"""Padded texts on the device of the encoder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.lazy_torch import Tensor, torch
from agents.text.collate import Padded


class Batch(NamedTuple):
    """Padded texts on the encoder's device.

    Attributes:
        input_ids: `[B, T]` int64.
        attention_mask: `[B, T]` int64.
        token_type_ids: `[B, T]` int64, or None.
        lengths: `[B]`, on the CPU.
        infill: `[B, T]` bool, mask tokens that the agent's language model replaces before an objective sees
            the batch; None if there is none.
        states: `[B, T, W]`, token states where a joint pass has encoded the batch already; else None.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    lengths: np.ndarray
    infill: Tensor | None = None
    states: Tensor | None = None


def to_device(padded: Padded, device: torch.device) -> Batch:
    """Move a padded batch to a device."""
    types, infill = padded.token_type_ids, padded.infill
    return Batch(
        tensor(padded.input_ids, device),
        tensor(padded.attention_mask, device),
        None if types is None else tensor(types, device),
        padded.lengths,
        None if infill is None else tensor(infill, device),
    )


def tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """Move an array to a device."""
    return torch.from_numpy(array).to(device, non_blocking=True)
