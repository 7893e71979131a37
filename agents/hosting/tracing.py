"""Spans of a host's work on its own clock, recorded only during a traced call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Answer = TypeVar("Answer")


class Span(NamedTuple):
    """A stretch of a host's time.

    Attributes:
        phase: what was done.
        agent: the agent that was worked on; None for the whole host.
        began_s, ended_s: on a clock that never goes back, and that processes of one machine share.
    """

    phase: str
    agent: int | None
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Traced(Generic[Answer]):
    """The answer to a call, with the times at which it began and ended and the spans in between."""

    answer: Answer
    began_s: float
    ended_s: float
    spans: list[Span]


class Tracer:
    """Records the spans of one call.

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
        """Record how long the body takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spans.append(Span(phase, agent, began, time.monotonic()))
