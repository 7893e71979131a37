"""Batches in parts: texts go through the encoder in parts, and the gradient is that of the whole.

A batch that fits into memory is divided where that saves padding; see `agents.text.length_buckets`. Of a
larger one each
part is run without keeping its activations and run again, with the same dropout masks, when its gradient is
due, so that the activations of one part are in memory at a time while the loss sees all embeddings. For a
contrastive loss that is GradCache (Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup, 2021), here by means of PyTorch's checkpointing (Chen et al., Training Deep Nets with Sublinear
Memory Cost, 2016).

Legend: B texts, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from agents.lazy_torch import Tensor, torch
from agents.text.batch import Batch
from agents.text.length_buckets import buckets


def rowwise(
    function: Callable[..., Tensor],
    batch: Batch,
    arrays: Sequence[Tensor],
    micro_batch_tokens: int | None,
    pass_tokens: int | None = None,
) -> Tensor:
    """Apply a function of some texts to all texts of a batch.

    Args:
        function: takes a `Batch` and rows of the arrays; returns one row per text, `[b, ...]`.
        batch: B texts.
        arrays: more inputs, `[B, ...]` each.
        micro_batch_tokens: padded tokens of a part, which is then computed twice; None for parts whose
            activations are kept.
        pass_tokens: what a part costs besides its tokens, to divide the batch into those that cost least;
            None for a single part. Without meaning where `micro_batch_tokens` divides the batch already.

    Returns:
        `[B, ...]`, in the order of the batch.
    """
    run: Callable[..., Tensor] = function
    if micro_batch_tokens is not None:
        parts = split(batch.lengths, micro_batch_tokens)
        checkpoint = torch.utils.checkpoint.checkpoint
        run = partial(checkpoint, function, use_reentrant=False, preserve_rng_state=True)
    else:
        parts = [] if pass_tokens is None else buckets(batch.lengths, pass_tokens)
        if len(parts) <= 1:
            return function(batch, *arrays)
    outputs: list[Tensor] = []
    for part in parts:
        rows = torch.from_numpy(part).to(batch.input_ids.device)
        outputs.append(run(narrow(batch, rows, part), *(array[rows] for array in arrays)))
    order = np.argsort(np.concatenate(parts), kind="stable")
    return torch.cat(outputs)[torch.from_numpy(order).to(batch.input_ids.device)]


def split(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Divide texts into parts of like length, each of at most so many padded tokens.

    A text that is longer than that makes a part of its own.

    Args:
        lengths: `[B]` tokens of each text.
        tokens: of a part, padding included.

    Returns:
        Rows of each part; together all rows, each once.

    Example:
        >>> [part.tolist() for part in split(np.array([5, 2, 9, 2]), 10)]
        [[1, 3], [0], [2]]
    """
    parts: list[list[int]] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if parts and (len(parts[-1]) + 1) * lengths[row] <= tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
    return [np.array(part) for part in parts]


def narrow(batch: Batch, rows: Tensor, part: np.ndarray) -> Batch:
    """Return some texts of a batch, without the padding that only others need."""
    width = int(batch.lengths[part].max())
    types, infill = batch.token_type_ids, batch.infill
    return batch._replace(
        input_ids=batch.input_ids[rows, :width],
        attention_mask=batch.attention_mask[rows, :width],
        token_type_ids=None if types is None else types[rows, :width],
        lengths=batch.lengths[part],
        infill=None if infill is None else infill[rows, :width],
    )
