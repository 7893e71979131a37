"""Encoding of a batch in parts, with the gradient of the whole batch.

A batch that fits into memory is divided if that saves padding; see `agents.text.length_buckets`. A larger
batch is divided into micro-batches; each runs without keeping its activations and runs again, with the
same dropout masks, when its gradient is due. The activations of one part are in memory at a time, while the
loss sees all embeddings. For a contrastive loss this is GradCache (Gao et al., Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup, 2021), implemented by PyTorch's checkpointing (Chen et al.,
Training Deep Nets with Sublinear Memory Cost, 2016).

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
    """Apply a function to a batch in parts; it must treat texts independently.

    Args:
        function: takes a `Batch` and rows of the arrays; returns one row per text, `[b, ...]`.
        batch: B texts.
        arrays: more inputs, `[B, ...]` each.
        micro_batch_tokens: padded tokens of a part, which is then computed twice; None to keep activations.
        pass_tokens: fixed cost of a part in tokens, by which the batch is divided at least total cost; None
            for a single part. Ignored if `micro_batch_tokens` divides the batch.

    Returns:
        `[B, ...]`, in the order of the batch.
    """
    if batch.states is not None:  # encoded already, as a whole
        return function(batch, *arrays)
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
    # The inverse of the permutation that the parts make up brings rows back into the order of the batch.
    order = np.argsort(np.concatenate(parts), kind="stable")
    return torch.cat(outputs)[torch.from_numpy(order).to(batch.input_ids.device)]


def split(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Divide texts into parts of similar length with a maximum of padded tokens.

    A longer text forms its own part.

    Args:
        lengths: `[B]` tokens of each text.
        tokens: maximum of a part, padding included.

    Returns:
        Rows of each part; together all rows, each once.

    Example:
        >>> [part.tolist() for part in split(np.array([5, 2, 9, 2]), 10)]
        [[1, 3], [0], [2]]
    """
    parts: list[list[int]] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        # Lengths ascend, so this row's is what the whole part would be padded to.
        if parts and (len(parts[-1]) + 1) * lengths[row] <= tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
    return [np.array(part) for part in parts]


def narrow(batch: Batch, rows: Tensor, part: np.ndarray) -> Batch:
    """Return some texts of a batch, padded to the longest of them.

    Args:
        batch: batch to select from.
        rows: `[b]`, the selected texts, on the device of the batch.
        part: the same on the CPU.
    """
    width = int(batch.lengths[part].max())
    types, infill = batch.token_type_ids, batch.infill
    return batch._replace(
        input_ids=batch.input_ids[rows, :width],
        attention_mask=batch.attention_mask[rows, :width],
        token_type_ids=None if types is None else types[rows, :width],
        lengths=batch.lengths[part],
        infill=None if infill is None else infill[rows, :width],
    )
