"""A society that searches, with its encoders on the hosts of a runtime.

Legend: S sentences of a text, D embedding width of a model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentos.data.tokenization.sentences import split_sentences
from agentos.runtime import Session
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.open_society import check_asked
from agentos.tasks.society.search_society import SearchOutcome, SearchSociety
from agents.answering.answers import Labels
from agents.answering.ranking import summarise
from protocols.errors import DataError


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


class SummaryReply(NamedTuple):
    """The sentences that say most of a text.

    Attributes:
        label: the summary.
        sentences: places of its sentences in the text, from 0.
        flops: floating-point operations of embedding all sentences.
        payload_bytes: bytes of the embeddings that reach the asker from other agents.
    """

    label: str
    sentences: tuple[int, ...]
    flops: float
    payload_bytes: float


@dataclass(frozen=True)
class FoundReplies:
    """Finds for queries, and the seconds that the search took."""

    replies: tuple[FoundReply | SummaryReply, ...]
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

    def summarise(self, texts: Sequence[str], count: int) -> FoundReplies:
        """Choose the sentences of each text that say most of it; see `agents.answering.ranking.summarise`.

        The models that search judge together: all of them, or the best where it works alone.

        Args:
            texts: the texts.
            count: sentences of a summary, at most.

        Raises:
            DataError: there is no text, or too much of it, or one is empty.
            ConfigurationError: no sentence is asked for.
        """
        check_asked(texts)
        began = time.perf_counter()
        replies = tuple(self._summary(text, count) for text in texts)
        return FoundReplies(replies, time.perf_counter() - began)

    def _summary(self, text: str, count: int) -> SummaryReply:
        sentences = [each.strip() for each in split_sentences(text) if each.strip()]
        if not sentences:
            raise DataError(
                "there is nothing to summarise",
                expected="a text with at least one sentence",
                actual=f"{len(text)} characters of white space",
                hint="give a text that is not empty",
            )
        cards, length = self._society.cards, self._society.config.task.max_length
        alone = self._society.chosen == SINGLE
        first = {card.origin: model for model, card in reversed([*enumerate(cards)])}
        models = [self._society.best] if alone else sorted(first.values())
        found = self._encoders.embed(dict.fromkeys(models, sentences))
        places = summarise([each.rows for each in found.values()], count).tolist()
        spent = [float(found[m].tokens.sum()) * cards[m].flops(length) for m in models]
        return SummaryReply(
            " ".join(sentences[place] for place in places),
            tuple(places),
            sum(spent),
            float(sum(found[model].rows.nbytes for model in models[1:])),
        )

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
