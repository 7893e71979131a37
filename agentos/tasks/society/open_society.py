"""A society that answers: a fitted one, with its encoders on the hosts of a runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from typing_extensions import Self

from agentos.runtime import Session
from agentos.tasks.cooperation import NOT_ASKED, Embedded, Outcome, Queries
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.saved_society import SOCIETY, load_society
from agents.answering.answers import Labels
from protocols.errors import DataError

MOST_CHARACTERS = 1_000_000
"""Characters of all texts that are asked at once, at most."""


class Reply(NamedTuple):
    """What a society answers to one text.

    Attributes:
        label: the decided class.
        probability: of this class.
        asked: names of the agents that were asked.
        flops: floating-point operations that the answer took.
        payload_bytes: bytes of messages between the agents.
    """

    label: str
    probability: float
    asked: tuple[str, ...]
    flops: float
    payload_bytes: float


@dataclass(frozen=True)
class Replies:
    """Answers to texts, and the seconds that they took."""

    replies: tuple[Reply, ...]
    seconds: float


class Society:
    """A society that `solve` made, ready to answer; a context manager, which ends its hosts.

    Args:
        fitted: its agents and architectures.
        session: hosts for its encoders.

    Example:
        >>> with Society.open("runs/triage") as society:  # doctest: +SKIP
        ...     print(society.ask(["My mouse does not work"]).replies[0].label)
    """

    def __init__(self, fitted: FittedSociety, session: Session) -> None:
        self.fitted = fitted
        self._session = session
        self._encoders = Encoders(
            session,
            [member.card for member in fitted.members],
            fitted.config.task.max_length,
            fitted.config.runtime.threads,
        )

    @classmethod
    def open(cls, directory: str | Path, address: str | None = None) -> Self:
        """Read the society of a folder, and start hosts for it.

        Args:
            directory: folder that ``agentos solve`` wrote.
            address: the Ray cluster to join.

        Raises:
            RecordError: the folder holds no society, or a damaged one.
        """
        fitted = load_society(Path(directory) / SOCIETY)
        return cls(fitted, fitted.config.runtime.open(len(fitted.members), address))

    def ask(self, texts: Sequence[str]) -> Replies:
        """Answer texts; only the agents that are asked read them.

        Raises:
            DataError: there is no text, or too much of it.
            HostLost: no agent is left to answer.
        """
        check_texts(texts)
        began = time.perf_counter()
        kind = self.fitted.config.task
        items = [kind.texts_of(text) for text in texts]

        def flat(ids: Labels) -> list[str]:
            chosen = [items[id] for id in ids.tolist()]
            return [item[part] for part in range(len(chosen[0])) for item in chosen]

        def embed(agent: int, ids: Labels) -> Embedded:
            encoded = self._encoders.embed({agent: flat(ids)})[agent]
            parts = np.split(encoded.rows, len(encoded.rows) // len(ids))
            return Embedded(kind.features(parts), encoded.tokens.reshape(-1, len(ids)).sum(axis=0))

        def count(agent: int, ids: Labels) -> Labels:
            counted = self._encoders.count(agent, flat(ids)).reshape(-1, len(ids))
            found: Labels = counted.sum(axis=0)
            return found

        queries = Queries("query", np.arange(len(texts)))
        outcome = self.fitted.answer(queries, embed, count=count)
        return Replies(self._replies(outcome), time.perf_counter() - began)

    def _replies(self, outcome: Outcome) -> tuple[Reply, ...]:
        names = [member.card.name for member in self.fitted.members]
        rows = zip(
            self.fitted.decided(outcome),
            outcome.answers.probabilities.max(axis=1).tolist(),
            outcome.said.tolist(),
            outcome.flops.tolist(),
            outcome.payload_bytes.tolist(),
            strict=True,
        )
        return tuple(
            Reply(
                label,
                probability,
                tuple(name for name, code in zip(names, said, strict=True) if code != NOT_ASKED),
                flops,
                payload_bytes,
            )
            for label, probability, said, flops, payload_bytes in rows
        )

    def close(self) -> None:
        """End the hosts."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_texts(texts: Sequence[str]) -> None:
    """Check that there are texts to answer, and not too many.

    Raises:
        DataError: there is none, or they are too long together.
    """
    size = sum(map(len, texts))
    if not texts or size > MOST_CHARACTERS:
        raise DataError(
            "the society cannot be asked that" if texts else "there is nothing to answer",
            expected=f"at least one text, and at most {MOST_CHARACTERS:,} characters in all",
            actual=f"{len(texts):,} texts of {size:,} characters",
            hint="ask about fewer texts at a time",
        )
