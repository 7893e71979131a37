"""A momentum encoder and a queue of its keys, in the memory that an objective has of an agent.

Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2020.

Legend: B texts, Q keys in the queue, D width of the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.lazy_torch import F, torch
from agents.objectives.base import Step
from agents.text.batch import Batch
from agents.text.tokens import Text

if TYPE_CHECKING:
    from torch import Tensor


class Queue(NamedTuple):
    """Keys of earlier batches, the oldest first.

    Attributes:
        keys: `[Q, D]`, normalised.
        documents: `[Q]` int64, which document each is of; see `fingerprints`.
    """

    keys: Tensor
    documents: Tensor


def fingerprints(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Return a number for each text `[B]`, equal for equal tokens.

    A document that is read again finds its own key in the queue, and must not be taken for a negative.
    """
    digests = [blake2b(text.tokens.tobytes(), digest_size=8).digest() for text in texts]
    numbers: NDArray[np.int64] = np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)
    return numbers


def encode_keys(step: Step, batch: Batch, momentum: float) -> Tensor:
    """Project a batch by the momentum encoder: `[B, D]`, normalised, constants.

    The momentum encoder begins as the encoder is at the agent's first step. In every later step, once, it
    becomes ``momentum * itself + (1 - momentum) * encoder``. It has dropout as the encoder has it.
    """
    assert step.snapshot is not None
    assert step.under is not None
    memory = step.memory
    if "momentum_parameters" not in memory:
        memory["momentum_parameters"] = step.snapshot()
    elif memory["momentum_step"] != step.index:  # not again where gradients are accumulated
        memory["momentum_parameters"].lerp_(step.snapshot(), 1.0 - momentum)
    memory["momentum_step"] = step.index

    def project() -> Tensor:
        projected: Tensor = step.encoder.projection(step.encode(batch))
        return F.normalize(projected.float(), dim=-1)

    return step.under(memory["momentum_parameters"], project)


def queue_of(step: Step, width: int) -> Queue:
    """Return the queue as earlier batches left it; empty before the first."""
    memory, like = step.memory, step.inputs["documents"]
    if "queue" not in memory:
        return Queue(torch.zeros(0, width, device=like.device), like[:0])
    return Queue(memory["queue"], memory["queue_documents"])


def enqueue(step: Step, queue: Queue, keys: Sequence[Tensor], size: int) -> None:
    """Append keys `[B, D]` of the batch's documents, and drop the oldest beyond the size."""
    documents = [step.inputs["documents"]] * len(keys)
    step.memory["queue"] = torch.cat([queue.keys, *keys])[-size:].clone()
    step.memory["queue_documents"] = torch.cat([queue.documents, *documents])[-size:].clone()
