"""The coded arrays of a message: from a payload to what travels, and back after every check.

A payload class marks the fields that may be coded (``Array(..., coded=True)``); everything else travels as it
is. The frame's metadata then hold a fourth text, ``codec``: the codec's own specification and the shape of
every coded field. It says what arrays there must be, to the byte, so nothing is allocated for a false claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from protocols.codecs import CODECS, Codec
from protocols.codecs.base import Part, Shape
from protocols.codecs.fp32 import Fp32
from protocols.errors import WireError
from protocols.messages import Payload
from protocols.spec import Kinds, Spec
from protocols.wire.frame import MAX_RANK, Frame
from protocols.wire.json_text import from_json, to_json

CODEC = "codec"
FP32 = Fp32()

_Size = Annotated[int, Field(ge=1, strict=True)]
_Shape = Annotated[tuple[_Size, ...], Field(min_length=1, max_length=MAX_RANK)]
_HINT = "let the sender code its message with wire.encode"


class _Claim(Spec):
    """What the metadata say of the coded arrays."""

    codec: Annotated[Codec, Kinds(CODECS)]
    shapes: dict[str, _Shape]


@dataclass(frozen=True)
class Coding:
    """How the arrays of a message were coded.

    Attributes:
        codec: which made them.
        shapes: of the coded fields, as they were; empty where nothing is coded.
    """

    codec: Codec
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, codec: Codec, payload: type[Payload], shapes: Mapping[str, Shape]) -> Coding:
        """Return how a payload with arrays of these shapes is coded."""
        if not is_coded(codec, payload):
            return cls(FP32, {})
        return cls(codec, {name: shapes[name] for name in payload.coded_fields})

    @classmethod
    def read(cls, frame: Frame, payload: type[Payload], expected: Codec | None) -> Coding:
        """Read what a frame claims.

        Args:
            frame: of the message.
            payload: its class.
            expected: a codec that need not be in the table; it is used where the frame names it.

        Raises:
            WireError: the claim is malformed.
        """
        text = frame.metadata.get(CODEC)
        if text is None:
            return cls(FP32, {})
        fields = from_json(text, "the codec")
        if expected is not None and fields.get("codec") == expected.model_dump(mode="json"):
            fields = {**fields, "codec": expected}
        try:
            claim = _Claim.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise _error("the codec is malformed", first["msg"][:200], text[:200]) from error
        coding = cls(claim.codec, claim.shapes)
        of_all = claim.shapes.keys() == set(payload.coded_fields) != set()
        if not of_all or isinstance(claim.codec, Fp32) or coding.text != text:
            raise _error("the codec is not canonical", coding.text[:200], text[:200])
        return coding

    @property
    def text(self) -> str:
        """The JSON text in the metadata."""
        return to_json({"codec": self.codec.model_dump(mode="json"), "shapes": self.shapes})

    @property
    def metadata(self) -> dict[str, str]:
        """What is added to the metadata of the frame."""
        return {CODEC: self.text} if self.shapes else {}

    def parts(self) -> dict[str, Part]:
        """Return dtype and shape of every coded array, by its name in the frame.

        Raises:
            WireError: a coded array stands for too much.
        """
        found: dict[str, Part] = {}
        for name, shape in self.shapes.items():
            self.codec.check_expansion(shape)
            parts = self.codec.parts(shape)
            found |= {f"{name}.{part}": what for part, what in parts.items()}
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
                raise _error(f"array {name} does not fit its codec", wanted, found)
        arrays = {name: values for name, values in sent.items() if name not in expected}
        for name, shape in self.shapes.items():
            prefix = f"{name}."
            parts = {key[len(prefix) :]: sent[key] for key in expected if key.startswith(prefix)}
            arrays[name] = np.ascontiguousarray(self.codec.decode(parts, shape))
        return arrays


def is_coded(codec: Codec, payload: type[Payload]) -> bool:
    """Return whether a codec has anything to do in messages of a payload."""
    return bool(payload.coded_fields) and not isinstance(codec, Fp32)


def _error(message: str, expected: object, actual: object) -> WireError:
    return WireError(message, expected=expected, actual=actual, hint=_HINT)
