"""What a source of text is: a stream of documents, ids stable, the same order every time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocols.errors import DataError
from protocols.spec import Spec


@dataclass(frozen=True, slots=True)
class Document:
    """One text, as its source gave it.

    Args:
        id: unique in the source, and the same at every reading.
        text: the text, not yet cleaned.
        label: the class of the text, where the source knows one; only evaluation and partitions
            read it, training never does.
    """

    id: str
    text: str
    label: str | None = None


class Source(Spec, ABC):
    """Base of every source: a value that can stream its documents again and again.

    A source of your own needs `documents` and `fingerprint`. Override `records` as well where a
    single record can be bad without the rest being lost.
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

        It is the key under which the cleaned corpus is kept; it should cost much less than reading.
        """

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error in the place of each record that cannot be used."""
        yield from self.documents()


def refuse_bad(records: Iterable[Document | DataError]) -> Iterator[Document]:
    """Yield the documents; raise the first error met among them.

    Example:
        >>> [document.id for document in refuse_bad([Document("a", "some text")])]
        ['a']
    """
    for record in records:
        if isinstance(record, DataError):
            raise record
        yield record
