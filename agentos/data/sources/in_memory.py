"""Texts that a script holds, known by a digest of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

from pydantic import Field
from typing_extensions import Self

from agentos.data.sources.base import Document, Source, raise_errors
from agentos.data.sources.record import from_record, wrong
from protocols.errors import DataError

_GLANCE = 100
"""Records that a glance reads."""


class InMemory(Source):
    """Texts in memory: a list, a pandas or Polars frame, or a `datasets.Dataset`; see `of`.

    The configuration that a run writes names the digest alone, so such a run is resumed from its script.

    Example:
        >>> source = InMemory.of(["still waters run deep", "a rolling stone gathers no moss"])
        >>> [document.id for document in source.documents()]
        ['0', '1']
    """

    kind: Literal["in_memory"] = "in_memory"
    digest: str = Field(description="Digest of the texts and their labels, in order.")
    rows: tuple[Any, ...] = Field(
        exclude=True, repr=False, description="Documents, and an error for each unusable record."
    )

    @classmethod
    def of(cls, data: Any, text: str = "text", label: str | None = None) -> Self:
        """Return the source of texts in memory; they are copied.

        Args:
            data: strings; or records, which a list of mappings, a pandas or Polars frame and a
                `datasets.Dataset` hold.
            text: the column of the text; of no account for strings.
            label: the column of the label; None for texts without.

        Raises:
            DataError: it is nothing of this kind.
        """
        rows = tuple(
            from_record(dict(record), f"record {number}", str(number), text, label)
            if isinstance(record, Mapping)
            else wrong(f"record {number}", "text", "a string or a mapping", record)
            for number, record in enumerate(_records(data, text))
        )
        return cls(digest=_digest(rows), rows=rows)

    def documents(self) -> Iterator[Document]:
        """Stream the documents.

        Raises:
            DataError: a record has no text, or a label that is none.
        """
        return raise_errors(self.records())

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error in place of each unusable record."""
        yield from self.rows

    def glance(self) -> Iterator[Document | DataError]:
        """Stream the first records."""
        yield from islice(self.rows, _GLANCE)

    def fingerprint(self) -> str:
        """Return the digest of the texts and labels."""
        return self.digest


def _records(data: Any, text: str) -> Iterator[Any]:
    """Yield the records of a frame, a data set or a sequence; a string is a record with only a text."""
    if hasattr(data, "iter_rows") and hasattr(data, "to_dicts"):  # Polars
        data = data.iter_rows(named=True)
    elif hasattr(data, "itertuples"):  # pandas
        data = data.to_dict("records")
    elif hasattr(data, "features"):  # datasets
        data = _named_labels(data)
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
        raise DataError(
            f"text cannot be read from a {type(data).__name__}",
            expected="a list of strings or of mappings, a pandas or Polars frame, or a datasets.Dataset",
            hint="name one split of a DatasetDict, such as dataset['train']",
        )
    for record in data:
        yield {text: record} if isinstance(record, str) else record


def _named_labels(dataset: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a `datasets.Dataset`, classes by their names; -1 marks a row without one."""
    named = {
        name: feature for name, feature in dataset.features.items() if hasattr(feature, "int2str")
    }
    for row in dataset:
        classes = {
            name: feature.int2str(row[name]) if (row[name] or 0) >= 0 else None
            for name, feature in named.items()
            if row[name] is not None
        }
        yield {**row, **classes}


def _digest(rows: Iterable[Document | DataError]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for row in rows:
        parts = ("-", str(row)) if isinstance(row, DataError) else ("+", row.text, row.label)
        for part in parts:
            coded = b"" if part is None else part.encode("utf-8", "surrogatepass")
            total.update(b"%d:" % (-1 if part is None else len(coded)) + coded)
    return total.hexdigest()
