"""Text for people: one problem of a configuration, and what a terminal or a picture can show of any text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, which terminals act on and XML refuses, turns of direction, and halves of pairs."""


def printable(text: str) -> str:
    r"""Return a text with everything that is not to be shown written out; lines and tabs stay.

    Example:
        >>> printable("a\x1b[2J")
        'a\\x1b[2J'
    """
    return _UNSHOWN.sub(lambda found: ascii(found[0])[1:-1], text)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        path: the field, dotted.
        message: the reason.
        given: its value, shortened; None if the value is not the point.
        allowed: the accepted values.
        closest: the known name that is most like what was given.
    """

    path: str
    message: str
    given: str | None = None
    allowed: str | None = None
    closest: str | None = None
