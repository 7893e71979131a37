"""What a host did when, on its own clock; kept only while somebody asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A stretch of time.

    Attributes:
        phase: what was done.
        agent: by which agent; None where it concerns the whole host.
        began_s, ended_s: on a clock that never goes back, and that processes of one machine share.
    """

    phase: str
    agent: int | None
    began_s: float
    ended_s: float


class Traced(NamedTuple):
    """The answer to a call, when the call began and ended, and what was done in between."""

    answer: Any
    began_s: float
    ended_s: float
    spans: list[Span]


class Tracer:
    """Keeps the spans of one call.

    Example:
        >>> tracer = Tracer()
        >>> with tracer.span("train", agent=3):
        ...     pass
        >>> tracer.spans[0].phase, tracer.spans[0].agent
        ('train', 3)
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @contextmanager
    def span(self, phase: str, agent: int | None = None) -> Iterator[None]:
        """Note how long the body takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spans.append(Span(phase, agent, began, time.monotonic()))
