"""A society that searches, with its encoders on the hosts of a runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentos.runtime import Session
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.open_society import check_asked
from agentos.tasks.society.search_society import SearchOutcome, SearchSociety
from agents.answering.answers import Labels


class Hit(NamedTuple):
    """A document that was found: its number, its text and its score."""

    document: int
    text: str
    score: float


class FoundReply(NamedTuple):
    """A society's finds for one query.

    Attributes:
        label: the text of the best document.
        hits: the documents, the best first.
        asked: agents and models that were asked.
        flops: floating-point operations that the answer took.
        payload_bytes: bytes of messages between the agents.
    """

    label: str
    hits: tuple[Hit, ...]
    asked: tuple[str, ...]
    flops: float
    payload_bytes: float


@dataclass(frozen=True)
class FoundReplies:
    """Finds for queries, and the seconds that the search took."""

    replies: tuple[FoundReply, ...]
    seconds: float


class OpenSearch:
    """A society that searches, ready to answer.

    Args:
        society: its agents and documents.
        session: hosts for its encoders.
    """

    def __init__(self, society: SearchSociety, session: Session) -> None:
        self._society = society
        self._session = session
        config = society.config
        self._encoders = Encoders(
            session, society.cards, config.task.max_length, config.runtime.threads
        )

    def ask(self, texts: Sequence[str]) -> FoundReplies:
        """Search for texts.

        Raises:
            DataError: there is no text, or too much of it.
        """
        check_asked(texts)
        began = time.perf_counter()

        def embed(model: int, ids: Labels) -> Embedded:
            read = self._encoders.embed({model: [texts[id] for id in ids.tolist()]})[model]
            return Embedded(read.rows, read.tokens)

        outcome = self._society.answer(np.arange(len(texts)), embed)
        return FoundReplies(self._replies(outcome), time.perf_counter() - began)

    def close(self) -> None:
        """End the hosts."""
        self._session.close()

    def _replies(self, outcome: SearchOutcome) -> tuple[FoundReply, ...]:
        society, ranking = self._society, outcome.ranking
        asked = tuple(
            f"{agent}: {society.cards[society.holdings[agent].model].name}"
            for agent in outcome.found
        )
        replies = []
        for row, (numbers, scores) in enumerate(
            zip(ranking.candidates.tolist(), ranking.scores.tolist(), strict=True)
        ):
            hits = tuple(
                Hit(number, society.corpus[number], score)
                for number, score in zip(numbers, scores, strict=True)
            )
            costs = float(outcome.flops[row]), float(outcome.payload_bytes[row])
            replies.append(FoundReply(hits[0].text, hits, asked, *costs))
        return tuple(replies)
