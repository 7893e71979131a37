"""Payloads of parameters: flat vectors of P numbers, and a few components of a transform of them.

Shape legend: P parameters, S agents that one sender stands for, M components.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import Payload, Weight


class Weights(Payload):
    """All the parameters of an encoder, flat, and the fingerprint of how they are laid out."""

    kind: ClassVar[str] = "weights"
    values: Annotated[NDArray[np.float32], Array("float32", "P", coded=True)]
    weight: Weight = Field(description="share in an average, for instance the number of texts")
    layout: str = Field(min_length=1, description="fingerprint of names, shapes and order")


class WeightDeltas(Payload):
    """The change of all the parameters of an encoder since the last exchange, flat."""

    kind: ClassVar[str] = "weight_deltas"
    values: Annotated[NDArray[np.float32], Array("float32", "P", coded=True)]
    weight: Weight = Field(description="share in an average, for instance the number of texts")
    layout: str = Field(min_length=1, description="fingerprint of names, shapes and order")


class Components(Payload):
    """The M largest components of a transform of all the parameters, chunk by chunk, by each of S agents.

    The layout names runs of like chunks, in order: ``fingerprint:CxExK`` and so on stands for C chunks of E
    components each; K of each chunk are sent. Their places are ascending and below E.
    """

    kind: ClassVar[str] = "components"
    values: Annotated[NDArray[np.float32], Array("float32", "S", "M", coded=True)]
    places: Annotated[NDArray[np.uint16], Array("uint16", "S", "M")]
    layout: str = Field(
        pattern=r"^[^:]+(:[1-9]\d{0,9}x[1-9]\d{0,4}x[1-9]\d{0,4})+$",
        description="fingerprint of names, shapes and order, and the runs of chunks",
    )

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite, and the places those of different components of each chunk."""
        super().check_values(sender)
        end, allowed = 0, True
        for run in self.layout.split(":")[1:]:
            chunks, size, kept = map(int, run.split("x"))
            begin, end = end, end + chunks * kept
            if end > self.places.shape[1]:
                break
            rows = self.places[:, begin:end].reshape(-1, kept)
            allowed &= bool(rows[:, -1].max() < size and (rows[:, 1:] > rows[:, :-1]).all())
        if end != self.places.shape[1] or not allowed:
            raise RejectedMessage(
                "the places of components are not ascending, or lie beyond their chunks",
                reason="not_components",
                sender=sender,
                expected=f"ascending places in the chunks of {self.layout}",
                actual=f"{self.places.shape[1]} places up to {self.places.max()}",
                hint="send the places that the components have in their chunks, in that order",
            )
