"""Dropout of a stacked pass: for each agent the draws that its own pass would make, in the same order.

Legend: A agents, S places of dropout in a pass, B texts, T tokens, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.models.cpu.byte_dropout import LEVELS, draw_bytes, threshold_of
from agents.text.length_buckets import buckets


def dropout_factors(
    generators: Sequence[torch.Generator],
    lengths: Sequence[np.ndarray],
    shape: tuple[int, int, int, int],
    p: float,
    pass_tokens: int | None,
) -> Iterator[Tensor]:
    """Yield the factors `[A, B, T, W]` of each place of dropout; nothing if `p` is 0.

    Args:
        generators: the agents' generators, which advance as in passes of their own.
        lengths: `[B]`, tokens of each agent's texts.
        shape: (S, B, T, W).
        p: probability that an element is zeroed, rounded to 1/256.
        pass_tokens: cost of a pass, by which an agent's own passes are divided; None for one pass.
    """
    threshold = threshold_of(p)
    if threshold == 0:
        return
    device = generators[0].device
    # Padding beyond an agent's own frame is dropped; what is there is read by nothing.
    draws_ASBTW = torch.zeros((len(generators), *shape), dtype=torch.uint8, device=device)
    for draws_SBTW, generator, lengths_B in zip(draws_ASBTW, generators, lengths, strict=True):
        parts = [] if pass_tokens is None else buckets(lengths_B, pass_tokens)
        if len(parts) <= 1:
            parts = [np.arange(len(lengths_B))]
        for rows in parts:
            _draw(draws_SBTW, rows, int(lengths_B[rows].max()), generator)
    factors = torch.empty(draws_ASBTW.shape, device=device)
    torch.ge(draws_ASBTW, threshold, out=factors)
    yield from factors.mul_(LEVELS / (LEVELS - threshold)).unbind(dim=1)


def _draw(draws_SBTW: Tensor, rows: np.ndarray, longest: int, generator: torch.Generator) -> None:
    """Fill in the draws of a pass of some texts, padded to the longest of them."""
    places, texts, _, width = draws_SBTW.shape
    # Widths of presets are multiples of 8, so the words of one place follow those of the place before.
    drawn = draw_bytes((places, len(rows), longest, width), draws_SBTW.device, generator)
    if len(rows) == texts:
        draws_SBTW[:, :, :longest] = drawn
    else:
        draws_SBTW[:, torch.from_numpy(rows).to(draws_SBTW.device), :longest] = drawn
