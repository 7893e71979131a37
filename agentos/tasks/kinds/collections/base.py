"""Base of collections to search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from agentos.evaluation.beir import Judged
from protocols.errors import DataError
from protocols.spec import Spec


class Collection(Spec, ABC):
    """Base of every collection: a specification that reads queries, documents and judgements."""

    kind: str

    @abstractmethod
    def read(self) -> Judged:
        """Return queries with at least one relevant document each, and different documents.

        Raises:
            DataError: a file cannot be read, or there is no such query.
        """


def joined(pairs: Iterable[tuple[str, str]]) -> Judged:
    """Return the queries and documents of pairs, each once; pairs with an empty half are left out.

    Raises:
        DataError: there is no pair.

    Example:
        >>> joined([("hi", "hello"), ("bye", "hello"), ("hi", "good day")]).relevant
        ({0: 1, 1: 1}, {0: 1})
    """
    documents: dict[str, int] = {}
    relevant: dict[str, dict[int, int]] = {}
    for query, document in pairs:
        if query and document:
            number = documents.setdefault(document, len(documents))
            relevant.setdefault(query, {})[number] = 1
    if not relevant:
        raise DataError(
            "there is nothing to search for",
            expected="at least one query with a document",
            actual="no pair",
            hint="give another task.source",
        )
    return Judged(tuple(relevant), tuple(documents), tuple(relevant.values()))
