"""A momentum encoder and a queue of its keys, kept in an objective's state of an agent.

Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2020.

Legend: B texts, Q keys in the queue, D width of the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.lazy_torch import F, Tensor, torch
from agents.objectives.base import ObjectiveState, Step
from agents.text.batch import Batch
from agents.text.tokens import Text


@dataclass
class MomentumState(ObjectiveState):
    """Momentum encoder and queue.

    Attributes:
        momentum_parameters: `[P]`; None before the first step.
        momentum_step: optimizer step in which they were last updated.
        queue: keys `[Q, D]` of earlier batches; None before the first.
        queue_documents: `[Q]` int64, fingerprint of each key's document.
    """

    momentum_parameters: Tensor | None = None
    momentum_step: int = 0
    queue: Tensor | None = None
    queue_documents: Tensor | None = None


class Queue(NamedTuple):
    """Keys of earlier batches, the oldest first.

    Attributes:
        keys: `[Q, D]`, normalised.
        documents: `[Q]` int64, fingerprint of each key's document; see `fingerprints`.
    """

    keys: Tensor
    documents: Tensor


def fingerprints(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Return a number for each text `[B]`, equal for equal tokens.

    A document that is read again may have its own key in the queue, which is not a negative of it.
    """
    digests = [blake2b(text.tokens.tobytes(), digest_size=8).digest() for text in texts]
    numbers: NDArray[np.int64] = np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)
    return numbers


def encode_keys(step: Step, batch: Batch, momentum: float) -> Tensor:
    """Project a batch by the momentum encoder: `[B, D]`, normalised, constants.

    The momentum encoder begins as the encoder is at the agent's first step. In every later step, once, it
    becomes ``momentum * itself + (1 - momentum) * encoder``. It has the same dropout as the encoder.
    """
    assert step.snapshot is not None
    assert step.under is not None
    state = MomentumState.of(step)
    if state.momentum_parameters is None:
        state.momentum_parameters = step.snapshot()
    elif state.momentum_step != step.index:  # once a step, also where gradients are accumulated
        state.momentum_parameters.lerp_(step.snapshot(), 1.0 - momentum)
    state.momentum_step = step.index

    def project() -> Tensor:
        projected: Tensor = step.encoder.projection(step.encode(batch))
        return F.normalize(projected.float(), dim=-1)

    return step.under(state.momentum_parameters, project)


def queue_of(step: Step, width: int) -> Queue:
    """Return the keys of earlier batches; an empty queue before the first."""
    state, like = MomentumState.of(step), step.inputs["documents"]
    if state.queue is None or state.queue_documents is None:
        return Queue(torch.zeros(0, width, device=like.device), like[:0])
    return Queue(state.queue, state.queue_documents)


def enqueue(step: Step, queue: Queue, keys: Sequence[Tensor], size: int) -> None:
    """Append keys `[B, D]` of the batch's documents, and drop the oldest beyond the size."""
    state = MomentumState.of(step)
    documents = [step.inputs["documents"]] * len(keys)
    state.queue = torch.cat([queue.keys, *keys])[-size:].clone()
    state.queue_documents = torch.cat([queue.documents, *documents])[-size:].clone()
