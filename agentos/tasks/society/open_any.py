"""Societies of every kind, ready to answer: what `agentos ask` opens."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from agentos.tasks.kinds import Composite
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_search import FoundReply, OpenSearch, SummaryReply
from agentos.tasks.society.open_society import MOST_CHARACTERS, Reply, Society, check_asked
from agentos.tasks.society.parts_society import PartsInOrder, part_folder
from agentos.tasks.society.saved_society import SOCIETY, load_kept
from agentos.tasks.society.search_society import SearchSociety
from agentos.tasks.society.writing_society import WritingSociety
from protocols.errors import ConfigurationError


class WrittenReply(NamedTuple):
    """A society's continuation of one prompt.

    Attributes:
        label: the text that was added.
        weights: share of each decoder after the last token.
        flops: floating-point operations that it took.
        payload_bytes: bytes of messages between the agents.
    """

    label: str
    weights: dict[str, float]
    flops: float
    payload_bytes: float


class PartsReply(NamedTuple):
    """Answers of a composite's parts to one text, and the sums of their costs."""

    label: str
    parts: dict[str, Any]
    flops: float
    payload_bytes: float


AnyReply = Reply | FoundReply | SummaryReply | WrittenReply | PartsReply


class Answered(Protocol):
    """Answers to texts, and the seconds that they took."""

    @property
    def replies(self) -> Sequence[AnyReply]:
        """An answer for each text."""

    @property
    def seconds(self) -> float:
        """Seconds that all of them took."""


class Answering(Protocol):
    """A society that answers texts."""

    def ask(self, texts: Sequence[str]) -> Answered:
        """Answer texts."""

    def close(self) -> None:
        """End its hosts."""


@dataclass(frozen=True)
class Answers:
    """Answers to texts, and the seconds that they took."""

    replies: tuple[AnyReply, ...]
    seconds: float


class OpenWriting:
    """A society that writes, ready to continue prompts.

    Args:
        society: its decoders.
    """

    def __init__(self, society: WritingSociety) -> None:
        self._society = society

    def ask(self, texts: Sequence[str]) -> Answers:
        """Continue prompts.

        Raises:
            DataError: there is no prompt, or too much text.
            ConfigurationError: a prompt is empty or too long.
        """
        check_asked(texts)
        began = time.perf_counter()
        written = [self._society.write(text, number) for number, text in enumerate(texts)]
        replies = tuple(
            WrittenReply(each.continuation, each.weights, each.flops, each.payload_bytes)
            for each in written
        )
        return Answers(replies, time.perf_counter() - began)

    def close(self) -> None:
        """Do nothing: there are no hosts."""


class OpenParts:
    """A composite, ready to answer: its parts are opened one after the other.

    Args:
        composite: the graph.
        directory: folder of the composite.
        address: the Ray cluster to join.
    """

    def __init__(self, composite: Composite, directory: Path, address: str | None) -> None:
        self._composite = composite
        self._directory = directory
        self._address = address

    def ask(self, texts: Sequence[str]) -> Answers:
        """Answer texts by every part.

        Raises:
            DataError: there is no text, or too much of it.
        """
        check_asked(texts)
        began = time.perf_counter()
        names = self._composite.order
        by_part = answers_of_parts(self._composite, names, self._directory, texts, self._address)
        replies = []
        for row in range(len(texts)):
            parts = {name: by_part[name][row] for name in names}
            flops = sum(each.flops for each in parts.values())
            sent = sum(each.payload_bytes for each in parts.values())
            replies.append(PartsReply(parts[names[-1]].label, parts, flops, sent))
        return Answers(tuple(replies), time.perf_counter() - began)

    def close(self) -> None:
        """Do nothing: parts are closed when they have answered."""


def answers_of_parts(
    composite: Composite,
    names: Sequence[str],
    directory: Path,
    texts: Sequence[str],
    address: str | None,
) -> dict[str, list[AnyReply]]:
    """Return what parts answer to texts.

    Args:
        composite: the graph.
        names: parts, each after those that it reads.
        directory: folder of the composite.
        texts: the texts.
        address: the Ray cluster to join.
    """
    found: dict[str, list[AnyReply]] = {}
    for name in names:
        part = composite.parts[name]
        read = [
            part.reading(text, {source: found[source][row].label for source in part.after})
            for row, text in enumerate(texts)
        ]
        with open_any(part_folder(directory, name), address) as society:
            found[name] = [reply for some in _portions(read) for reply in society.ask(some).replies]
    return found


@contextmanager
def open_any(
    directory: Path, address: str | None = None, trusted: Iterable[str] | None = ()
) -> Iterator[Answering]:
    """Provide the society of a folder that `agentos solve` wrote, and end its hosts afterwards.

    Args:
        directory: folder that ``agentos solve`` wrote.
        address: the Ray cluster to join.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        RecordError: the folder holds no society, or a damaged one.
    """
    kept = load_kept(directory / SOCIETY, trusted)
    society: Answering
    if isinstance(kept, FittedSociety):
        society = Society(kept, kept.config.runtime.open(len(kept.members), address))
    elif isinstance(kept, SearchSociety):
        society = OpenSearch(kept, kept.config.runtime.open(len(kept.cards), address))
    elif isinstance(kept, WritingSociety):
        society = OpenWriting(kept)
    else:
        assert isinstance(kept, PartsInOrder)
        society = OpenParts(kept.config.task, directory, address)
    try:
        yield society
    finally:
        society.close()


def summaries(society: Answering, texts: Sequence[str], count: int) -> Answered:
    """Return summaries of texts by some of their sentences; see `OpenSearch.summarise`.

    Raises:
        ConfigurationError: the society does not search.
        DataError: there is no text, or too much of it.
    """
    if not isinstance(society, OpenSearch):
        raise ConfigurationError(
            "only a society that searches can summarise texts",
            expected="a society of task.kind rank",
            actual=type(society).__name__,
            hint="leave out --sentences, or solve a task of kind rank first",
        )
    return society.summarise(texts, count)


def reply_json(reply: Any) -> Any:
    """Return a reply as plain values, with the names of its fields."""
    if hasattr(reply, "_asdict"):
        return {name: reply_json(value) for name, value in reply._asdict().items()}
    if isinstance(reply, Mapping):
        return {name: reply_json(value) for name, value in reply.items()}
    return [reply_json(each) for each in reply] if isinstance(reply, tuple) else reply


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield texts in portions that a society takes at once; one that is too long comes alone."""
    some, size = list[str](), 0
    for text in texts:
        if some and size + len(text) > MOST_CHARACTERS:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some
