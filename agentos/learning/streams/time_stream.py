"""A stream in the order of time."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from agentos.learning.streams.base import Rows, Stream, StreamText
from protocols.errors import ConfigurationError


def compilable(pattern: str) -> str:
    """Return a regular expression with one group.

    Raises:
        ValueError: it is not one.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} groups, and needs one")
    return pattern


def keys(text: StreamText, pattern: str) -> list[str]:
    """Return what a pattern's group finds in the id of each document.

    Raises:
        ConfigurationError: it finds nothing in one.
    """
    found = [re.search(pattern, id) for id in text.ids]
    if None in found:
        raise ConfigurationError(
            "the stream's pattern does not occur in the id of a document",
            expected=pattern,
            actual=text.ids[found.index(None)],
            hint="let stream.pattern match every id; 'agentos data' shows some",
        )
    return [match[1] or "" for match in found if match is not None]


class ByTime(Stream):
    """Equal parts in the order of time: that of the source, or of dates in the ids of documents."""

    kind: Literal["by_time"] = "by_time"
    episodes: int = Field(10, ge=1, description="Parts, as equal as can be.")
    pattern: str | None = Field(
        None,
        description="Regular expression whose one group finds the date in an id, such as "
        "'(\\d{4}-\\d{2}-\\d{2})'; dates are compared as text. The order of the source if null.",
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        return value if value is None else compilable(value)

    def order(self, text: StreamText, seed: int) -> list[Rows]:
        """Return neighbours in time together; documents of one date in the order of the source."""
        if len(text) < self.episodes:
            raise ConfigurationError(
                "there are fewer documents than episodes",
                expected=f"{self.episodes} documents",
                actual=len(text),
                hint="lower stream.episodes",
            )
        rows = np.arange(len(text), dtype=np.int64)
        if self.pattern is not None:
            rows = np.argsort(np.array(keys(text, self.pattern)), kind="stable")
        return list(np.array_split(rows, self.episodes))
