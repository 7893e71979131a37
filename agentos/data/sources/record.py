"""Records with named values: the documents in them, and precise errors for unusable records."""

from __future__ import annotations

import difflib
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
        return _wrong(where, "text", "a string", text)
    if not labelled:
        return Document(identity, text)
    if not isinstance(label, (str, int)) or label == "":
        return _wrong(where, "label", "a string or a whole number", label)
    return Document(identity, text, str(label))


def _wrong(where: str, field: str, expected: str, value: object) -> BadRecord:
    actual = "nothing" if value is None or value == "" else f"{type(value).__name__} {value!r:.60}"
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
        hint=did_you_mean(column, names) or "name one of its columns in data.source",
    )
