"""The JSON text within messages: one text for each value, and nothing that is read is trusted."""

from __future__ import annotations

import json
import reprlib
from typing import Any, NoReturn

from protocols.errors import WireError

_MAX_DIGITS = 19  # an integer of more cannot be a size, and parsing one takes quadratic time
_HINT = "send the bytes that protocols.wire.encode returned, whole and unchanged"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII only."""
    return _ENCODER.encode(value)


def from_json(text: str | bytes, what: str) -> dict[str, Any]:
    """Return the object that an untrusted JSON text holds.

    Raises:
        WireError: it is no JSON object, repeats a key, holds NaN, infinity or a huge integer, is nested too
            deeply, or is not UTF-8.
    """
    try:
        text = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise malformed(f"{what} is not UTF-8", "UTF-8", error) from error
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise malformed(f"{what} is not JSON", "a JSON object", bounded(error)) from error
    if not isinstance(value, dict):
        raise malformed(f"{what} is not a JSON object", "a JSON object", type(value).__name__)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("an object repeats a key")
    return mapping


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_DIGITS + text.startswith("-"):
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_bounded_int
)


def bounded(value: object) -> str:
    """Return a description of untrusted content, of bounded length."""
    return reprlib.repr(value)


def malformed(message: str, expected: object, actual: object) -> WireError:
    """Return the error of a message that no sender of ours has written."""
    return WireError(message, expected=expected, actual=actual, hint=_HINT)
