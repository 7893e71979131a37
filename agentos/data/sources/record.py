"""Records with named values: the documents in them, and precise errors for unusable records."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from agentos.data.sources.base import Document
from protocols.errors import DataError

TextColumn = Annotated[str, Field(min_length=1, description="The column that holds the text.")]
LabelColumn = Annotated[
    str | None, Field(description="The column that holds the label; where named, it must exist.")
]

MAX_RECORD_BYTES = 1 << 24
"""Bound on every record: a line, a paragraph, a document, a row, a value."""

SKIP_HINT = "fix the record, or set data.on_bad_record: skip"


class BadRecord(DataError):
    """The error for one unusable record; the rest of the source is usable.

    Args:
        reason: a short stable name, such as ``json``, under which bad records are counted.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        expected: object = None,
        actual: object = None,
        hint: str | None = SKIP_HINT,
    ) -> None:
        super().__init__(message, expected=expected, actual=actual, hint=hint)
        self.reason = reason


def empty(path: Path) -> BadRecord:
    """Return the error for a file without a record."""
    return BadRecord(f"{path}, line 1: the file is empty", reason="empty_file")


def too_large(where: str) -> BadRecord:
    """Return the error for a record beyond the bound."""
    return BadRecord(
        f"{where}: the record is too large",
        reason="size",
        expected=f"at most {MAX_RECORD_BYTES:,} bytes",
        actual="more",
        hint="divide it, or set data.on_bad_record: skip",
    )


def document(
    identity: str, where: str, text: object, label: object, labelled: bool
) -> Document | DataError:
    """Return a document from the values of one record, or the error in them.

    Args:
        identity: id of the document.
        where: file and line, for the error.
        text: must be a string.
        label: a string, whole number or boolean if `labelled`; ignored otherwise.
        labelled: whether the source names a label column.
    """
    if not isinstance(text, str):
        return wrong(where, "text", "a string", text)
    if len(text) > MAX_RECORD_BYTES:
        return too_large(where)
    if not labelled:
        return Document(identity, text)
    name = name_of(label)
    if name is None:
        return wrong(where, "label", NAME, label)
    return Document(identity, text, name)


NAME = "a string or a whole number"
"""Values that a label or an id may have; see `name_of`."""


def name_of(value: object) -> str | None:
    """Return a label or an id as text: that of a string that is not blank, or of a whole number.

    None for anything else: nothing, a list, or a fraction such as the NaN that stands for nothing.

    Example:
        >>> name_of("news"), name_of(3), name_of(" "), name_of(float("nan")), name_of([3])
        ('news', '3', None, None, None)
    """
    usable = isinstance(value, int) or (isinstance(value, str) and value.strip())
    return str(value) if usable else None


def repeated(names: Iterable[str]) -> str | None:
    """Return the first name that is given twice; columns without a name do not count.

    Example:
        >>> repeated(["text", "label", "", "", "label"])
        'label'
    """
    return next((name for name, count in Counter(names).items() if count > 1 and name), None)


def column_twice(where: str, name: str) -> DataError:
    """Return the error for a column that is given twice, so that one would be ignored."""
    return DataError(
        f"{where}: the column {name!r} is there twice",
        expected="each column once",
        actual=name,
        hint="rename or remove one of the two",
    )


def parse_object(line: str, where: str) -> dict[str, Any] | BadRecord:
    """Return the JSON object in a line, or the error in it; a key may be given once only."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice.append(repeated(key for key, _ in pairs) or "")
        return found

    try:
        value = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        return BadRecord(f"{where}: not valid JSON", reason="json", actual=str(error))
    if not isinstance(value, dict):
        return BadRecord(f"{where}: not a JSON object", reason="json", actual=type(value).__name__)
    if twice:
        return BadRecord(
            f"{where}: the key {twice[0]!r} is there twice",
            reason="json",
            expected="each key once",
            actual=twice[0],
        )
    return value


def wrong(where: str, field: str, expected: str, value: object) -> BadRecord:
    """Return the error for a value that cannot be used."""
    actual = (
        "nothing"
        if value is None or (isinstance(value, str) and not value.strip())
        else f"{type(value).__name__} {value!r:.60}"
    )
    return BadRecord(
        f"{where}: the {field} cannot be used", reason=field, expected=expected, actual=actual
    )


def from_record(
    record: dict[str, Any], where: str, identity: str, text: str, label: str | None
) -> Document | DataError:
    """Return a document from a record with named values, or the error in it.

    Example:
        >>> from_record({"text": "words", "topic": 3}, "line 1", "1", "text", "topic")
        Document(id='1', text='words', label='3')
    """
    for column in (text, label):
        if column is not None and column not in record:
            return unknown_column(where, column, record)
    value = None if label is None else record[label]
    return document(identity, where, record[text], value, label is not None)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a question that names the closest known name, if one is close.

    Example:
        >>> did_you_mean("lable", ["text", "label"])
        "did you mean 'label'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None


def unknown_column(where: str, column: str, known: Iterable[str]) -> BadRecord:
    """Return the error for a missing column, naming the columns that exist."""
    names = [str(name) for name in known]
    return BadRecord(
        f"{where} has no column {column!r}",
        reason="missing_column",
        expected=column,
        actual=", ".join(names) or "no columns",
        hint=did_you_mean(column, names) or "name one of its columns",
    )
