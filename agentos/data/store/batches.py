"""Batches that are bounded in documents and in characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
MAX_DOCUMENTS = 1024
MAX_CHARACTERS = 1 << 22


def batches(
    items: Iterable[T],
    characters: Callable[[T], int],
    *,
    max_documents: int = MAX_DOCUMENTS,
    max_characters: int = MAX_CHARACTERS,
) -> Iterator[list[T]]:
    """Group items in order; the item that reaches a bound closes its batch.

    Args:
        items: read lazily.
        characters: returns the length of an item.
        max_documents: items in a batch, at most.
        max_characters: characters in a batch, apart from its last item.

    Example:
        >>> list(batches(["a", "bb", "c"], len, max_characters=2))
        [['a', 'bb'], ['c']]
    """
    batch: list[T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += characters(item)
        if len(batch) >= max_documents or total >= max_characters:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
