"""A society that answers: a fitted one, with its encoders on the hosts of a runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from agentos.runtime import Session
from agentos.tasks.cooperation import NOT_ASKED, SILENT, Embedded, Outcome, Queries
from agentos.tasks.society.encoders import Encoded, Encoders
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.saved_society import SOCIETY, load_society
from agents.answering.answers import Labels
from protocols.errors import DataError

MOST_CHARACTERS = 1_000_000
"""Characters of all texts that are asked at once, at most."""
Read = Callable[[int, Sequence[str]], Encoded]
"""Maps an agent and texts to what its encoder makes of them."""
CountTexts = Callable[[int, Sequence[str]], NDArray[np.int64]]
"""Maps an agent and texts to the tokens that they would put through its encoder."""


class Reply(NamedTuple):
    """A society's answer to one text.

    Attributes:
        label: the decided class.
        probability: of this class.
        asked: names of the agents that were asked.
        flops: floating-point operations that the answer took.
        payload_bytes: bytes of messages between the agents.
        said: the class that each asked agent found itself; None for one that was silent.
    """

    label: str
    probability: float
    asked: tuple[str, ...]
    flops: float
    payload_bytes: float
    said: tuple[str | None, ...] = ()


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
        check_asked(texts)
        began = time.perf_counter()
        kind = self.fitted.config.task
        items = [kind.texts_of(text) for text in texts]

        def read(agent: int, flat: Sequence[str]) -> Encoded:
            return self._encoders.embed({agent: flat})[agent]

        replies = replies_to(self.fitted, items, read, self._encoders.count)
        return Replies(replies, time.perf_counter() - began)

    def close(self) -> None:
        """End the hosts."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def replies_to(
    fitted: FittedSociety, items: Sequence[tuple[str, ...]], read: Read, count: CountTexts
) -> tuple[Reply, ...]:
    """Answer items by the chosen architecture.

    Args:
        fitted: the society.
        items: the texts of each; see `TaskKind.texts_of`.
        read: the encoders.
        count: their tokenizers.

    Raises:
        HostLost: no agent is left to answer.
    """
    kind = fitted.config.task

    def flat(ids: Labels) -> list[str]:
        return texts_in_order([items[id] for id in ids.tolist()])

    def embed(agent: int, ids: Labels) -> Embedded:
        encoded = read(agent, flat(ids))
        parts = np.split(encoded.rows, len(encoded.rows) // len(ids))
        return Embedded(kind.features(parts), encoded.tokens.reshape(-1, len(ids)).sum(axis=0))

    def tokens(agent: int, ids: Labels) -> Labels:
        found: Labels = count(agent, flat(ids)).reshape(-1, len(ids)).sum(axis=0)
        return found

    queries = Queries("query", np.arange(len(items)))
    return _replies(fitted, fitted.answer(queries, embed, count=tokens))


def texts_in_order(items: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the texts of items as an encoder reads them: all first texts, then all second ones."""
    return [item[part] for part in range(len(items[0])) for item in items]


def _replies(fitted: FittedSociety, outcome: Outcome) -> tuple[Reply, ...]:
    names = [member.card.name for member in fitted.members]
    spoken = {SILENT: None, **dict(enumerate(fitted.classes))}
    rows = zip(
        fitted.decided(outcome),
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
            tuple(spoken[code] for code in said if code != NOT_ASKED),
        )
        for label, probability, said, flops, payload_bytes in rows
    )


def check_asked(texts: Sequence[str]) -> None:
    """Refuse no text, too much of it, and what is not text.

    Raises:
        DataError: the society cannot be asked that.
    """
    size = sum(map(len, texts))
    if not texts or size > MOST_CHARACTERS:
        raise DataError(
            "the society cannot be asked that" if texts else "there is nothing to answer",
            expected=f"at least one text, and at most {MOST_CHARACTERS:,} characters in all",
            actual=f"{len(texts):,} texts of {size:,} characters",
            hint="ask about fewer texts at a time",
        )
    for number, text in enumerate(texts):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(
                f"text {number} is not Unicode text",
                expected="whole characters",
                actual="one half of a pair of surrogates",
                hint="encode the text as UTF-8",
            )
