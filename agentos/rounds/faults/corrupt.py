"""Messages that are damaged in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.rounds.faults.base import FaultContext, MessageFault, Transmission


class Corrupt(MessageFault):
    """Random bits of messages are flipped; with `policy.checksums` every such message is rejected.

    Without checksums receivers reject what is not a valid message any more, or holds impossible numbers. A
    flipped bit of a number's fraction goes unnoticed, as it would on a network that checks nothing.
    """

    kind: Literal["corrupt"] = "corrupt"
    bits: int = Field(8, ge=1, description="Bits of a message that are flipped.")

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Damage a message."""
        if not self.strikes(message, context):
            return (message,)
        flip = Flip(self.bits, context, message.sender, message.receiver)
        return (message._replace(damage=(*message.damage, flip)),)


@dataclass(frozen=True)
class Flip:
    """Flips bits of a buffer; the receiver's host calls it."""

    bits: int
    context: FaultContext
    sender: int
    receiver: int

    def __call__(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a damaged copy, read-only."""
        damaged: NDArray[np.uint8] = np.array(buffer)
        drawn = self.context.generator("bits", self.sender, self.receiver)
        count = min(self.bits, 8 * damaged.size)
        for bit in drawn.choice(8 * damaged.size, size=count, replace=False):
            damaged[bit // 8] ^= 1 << (bit % 8)
        damaged.flags.writeable = False
        return damaged
