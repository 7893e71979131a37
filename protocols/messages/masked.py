"""Payloads of secure aggregation: masked vectors, and the keys by which agents mask them.

Shape legend: P numbers, S agents.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import Payload, Weight

KEY_BYTES = 32
"""Bytes of a public key, and of the seed of a pair of agents."""


class MaskedSum(Payload):
    """Integers modulo 2^64 that mean nothing but in a sum in which their masks cancel."""

    kind: ClassVar[str] = "masked_sum"
    values: Annotated[NDArray[np.uint64], Array("uint64", "P")]
    weight: Weight = Field(
        description="number of texts, by which the sender has multiplied its numbers"
    )
    layout: str = Field(min_length=1, description="fingerprint of names, shapes and order")


class Keys(Payload):
    """Public keys of some agents, or the seeds that the sender shares with them; zeros for names alone."""

    kind: ClassVar[str] = "keys"
    ids: Annotated[NDArray[np.int32], Array("int32", "S")]
    values: Annotated[NDArray[np.uint8], Array("uint8", "S", KEY_BYTES)]

    def check_values(self, sender: int | None = None) -> None:
        """Check that the agents are ascending, each named once."""
        super().check_values(sender)
        if self.ids[0] < 0 or (np.diff(self.ids) <= 0).any():
            raise RejectedMessage(
                "the agents of keys are not ascending",
                reason="not_keys",
                sender=sender,
                expected="ascending numbers of agents from 0",
                actual=str(self.ids[:8].tolist()),
                hint="name every agent once",
            )
