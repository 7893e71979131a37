"""Coding of a message's arrays: from a payload to the transmitted arrays, and back after every check.

A payload class marks the fields that may be coded (``Array(..., coded=True)``); the others travel as they
are. The header then holds the codec's own specification and the shape of every coded field. From these
follow dtype and shape of each part, so that nothing is allocated for a false claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from protocols.codecs import CODECS, Codec
from protocols.codecs.base import Part
from protocols.codecs.fp32 import Fp32
from protocols.messages import Payload
from protocols.spec import Kinds, Spec
from protocols.wire.header import CodedFields, Header, Shape, bounded, canonical, malformed

FP32 = Fp32()


class _Specification(Spec):
    codec: Annotated[Codec, Kinds(CODECS)]


@dataclass(frozen=True)
class Coding:
    """Codec of a message, and the fields that it codes.

    Attributes:
        codec: the codec that encodes them.
        shapes: shapes of the coded fields before coding; empty if no field is coded.
    """

    codec: Codec
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, codec: Codec, payload: type[Payload], shapes: Mapping[str, Shape]) -> Coding:
        """Return how a payload with arrays of these shapes is coded."""
        if not is_coded(codec, payload):
            return UNCODED
        return cls(codec, {name: shapes[name] for name in payload.coded_fields})

    @classmethod
    def read(cls, header: Header, payload: type[Payload], expected: Codec | None) -> Coding:
        """Read the claim of a header.

        Args:
            header: the message's header.
            payload: class of the payload.
            expected: a codec that need not be in the table; it is used if the header names it.

        Raises:
            WireError: the claim is malformed.
        """
        claim = header.coding
        if claim is None:
            return UNCODED
        codec = expected
        if codec is None or claim.codec != codec.model_dump(mode="json"):
            codec = _codec_of(claim)
        coding = cls(codec, claim.shapes)
        of_all = claim.shapes.keys() == set(payload.coded_fields) != set()
        # Bytes are compared: numbers of unlike types may be equal.
        if not of_all or isinstance(codec, Fp32) or canonical(coding.fields) != canonical(claim):
            raise malformed("the codec is not canonical", bounded(coding.fields), bounded(claim))
        return coding

    @property
    def fields(self) -> CodedFields | None:
        """The claim in the header."""
        if not self.shapes:
            return None
        return CodedFields(self.codec.model_dump(mode="json"), dict(self.shapes))

    def parts(self) -> dict[str, Part]:
        """Return dtype and shape of every coded array, by its name in the array table.

        Raises:
            WireError: a coded array stands for too much.
        """
        found: dict[str, Part] = {}
        for name, shape in self.shapes.items():
            self.codec.check_expansion(shape)
            parts = self.codec.parts(shape)
            found |= {f"{name}.{part}": each for part, each in parts.items()}
        return found

    def encode(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the arrays to send: the coded fields in parts.

        Raises:
            WireError: a coded array stands for too much.
        """
        sent = {name: values for name, values in arrays.items() if name not in self.shapes}
        for name, shape in self.shapes.items():
            self.codec.check_expansion(shape)
            parts = self.codec.encode(arrays[name])
            sent |= {f"{name}.{part}": values for part, values in parts.items()}
        return sent

    def decode(self, sent: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the arrays of the payload, once every part has the size that the claim implies.

        Raises:
            WireError: a part is missing, of another dtype or size, or holds impossible numbers.
        """
        expected = self.parts()
        for name, part in expected.items():
            given = sent.get(name)
            if given is None or Part(given.dtype, given.shape) != part:
                found = None if given is None else f"{given.dtype} {list(given.shape)}"
                wanted = f"{part.dtype} {list(part.shape)}"
                raise malformed(f"array {name} does not fit its codec", wanted, found)
        arrays = {name: values for name, values in sent.items() if name not in expected}
        for name, shape in self.shapes.items():
            prefix = f"{name}."
            parts = {key[len(prefix) :]: sent[key] for key in expected if key.startswith(prefix)}
            arrays[name] = np.ascontiguousarray(self.codec.decode(parts, shape))
        return arrays


UNCODED = Coding(FP32, {})
"""No coding: every array is sent unchanged."""


def is_coded(codec: Codec, payload: type[Payload]) -> bool:
    """Return whether a codec changes messages of a payload."""
    return bool(payload.coded_fields) and not isinstance(codec, Fp32)


def _codec_of(claim: CodedFields) -> Codec:
    try:
        return _Specification.model_validate({"codec": claim.codec}).codec
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise malformed("the codec is malformed", first["msg"], bounded(claim.codec)) from error
