"""Messages that are damaged on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.rounds.faults.base import FaultContext, Letter, MessageFault


class Corrupt(MessageFault):
    """Random bits of messages are flipped; with `policy.checksums` every such message is rejected.

    Without checksums receivers reject what is no message any more, or holds numbers that cannot be. A flipped
    bit of a number's fraction goes unnoticed, as it would on a network that checks nothing.
    """

    kind: Literal["corrupt"] = "corrupt"
    bits: int = Field(8, ge=1, description="Bits of a message that are flipped.")

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Damage a message."""
        if not self.strikes(letter, moment):
            return (letter,)
        flip = Flip(self.bits, moment, letter.sender, letter.receiver)
        return (letter._replace(damage=(*letter.damage, flip)),)


@dataclass(frozen=True)
class Flip:
    """Flips bits of a buffer; the receiver's host calls it."""

    bits: int
    moment: FaultContext
    sender: int
    receiver: int

    def __call__(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a damaged copy, read-only."""
        damaged: NDArray[np.uint8] = np.array(buffer)
        drawn = self.moment.generator("bits", self.sender, self.receiver)
        count = min(self.bits, 8 * damaged.size)
        for bit in drawn.choice(8 * damaged.size, size=count, replace=False):
            damaged[bit // 8] ^= 1 << (bit % 8)
        damaged.flags.writeable = False
        return damaged
