"""Payloads of parameters, as flat vectors of P numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
