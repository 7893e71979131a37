"""One problem of a configuration, as the checks of every room report it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        path: the field, dotted.
        message: the reason.
        given: its value, shortened; None where the value is not the point.
        allowed: what would be accepted.
        closest: the known name that is most like what was given.
    """

    path: str
    message: str
    given: str | None = None
    allowed: str | None = None
    closest: str | None = None
