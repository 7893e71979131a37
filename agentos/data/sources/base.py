"""Base of text sources: repeatable streams of documents with stable ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocols.errors import DataError
from protocols.spec import Spec


@dataclass(frozen=True, slots=True)
class Document:
    """One text as its source delivers it.

    Args:
        id: unique in the source, and the same every time the source is read.
        text: the text, not yet cleaned.
        label: the class of the text, if the source has one. Evaluation and partitions read it,
            training never does.
    """

    id: str
    text: str
    label: str | None = None


class Source(Spec, ABC):
    """Base of every source: a specification that streams its documents as often as needed.

    A subclass implements `documents` and `fingerprint`. Override `records` as well if one bad
    record does not spoil the rest.
    """

    kind: str

    @abstractmethod
    def documents(self) -> Iterator[Document]:
        """Stream the documents: lazily, ids unique and stable, the same order every time.

        Raises:
            DataError: the source cannot be read, or a record of it is bad.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a string that changes whenever the documents may have changed.

        The cleaned corpus is cached under it; computing it should cost much less than reading.
        """

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error in place of each unusable record."""
        yield from self.documents()

    def glance(self) -> Iterator[Document | DataError]:
        """Stream the first records, at little cost; a source whose records are costly yields stand-ins.

        Raises:
            DataError: there is nothing to read.
        """
        yield from self.records()


def raise_errors(records: Iterable[Document | DataError]) -> Iterator[Document]:
    """Yield the documents, raising the first error among them.

    Example:
        >>> [document.id for document in raise_errors([Document("a", "some text")])]
        ['a']
    """
    for record in records:
        if isinstance(record, DataError):
            raise record
        yield record
