"""Finding files, and saying precisely what is wrong with one of their records."""

from __future__ import annotations

import difflib
import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from agentos.data.sources.base import Document
from protocols.errors import DataError

FilesPath = Annotated[str, Field(min_length=1, description="A file, a folder, or a glob.")]
TextColumn = Annotated[str, Field(min_length=1, description="The column that holds the text.")]
LabelColumn = Annotated[
    str | None, Field(description="The column that holds the label; where named, it must exist.")
]


SKIP_HINT = "fix the record, or set data.on_bad_record: skip"


class BadRecord(DataError):
    """One record that cannot be used; the others can.

    Args:
        reason: a short stable name, such as ``json``; it is what is counted.
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


class Files(NamedTuple):
    """Files to read, in order, and the folder that their ids are relative to."""

    root: Path
    paths: tuple[Path, ...]

    def name(self, path: Path) -> str:
        """Return the path relative to the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()


def find(path: str, pattern: str) -> Files:
    """Return the files that a path means: one file, a folder searched by pattern, or a glob.

    Args:
        path: relative to the current directory; ``~`` is expanded.
        pattern: what to look for in a folder. Hidden files and folders are passed over.

    Raises:
        DataError: there is no such path, or no file in it that matches.
    """
    place = Path(path).expanduser().absolute()
    if place.is_file():
        return Files(place.parent, (place,))
    if place.is_dir():
        found: Iterable[Path] = {*place.glob(pattern), *place.glob(f"{pattern}.gz")}
        root, asked = place, pattern
    elif glob.has_magic(path):
        fixed = [part for part in place.parts if glob.has_magic(part)]
        root = Path(*place.parts[: place.parts.index(fixed[0])])
        asked = str(place.relative_to(root))
        found = map(Path, glob.glob(str(place), recursive=True))
    else:
        raise _missing(place)
    files = [file for file in found if file.is_file() and not _hidden(file, root)]
    if not files:
        raise DataError(
            f"no file to read in {root}",
            expected=f"files that match {asked}",
            actual="none",
            hint="check data.source: its path, and what it looks for in a folder",
        )
    return Files(root, tuple(sorted(files, key=lambda file: file.relative_to(root).as_posix())))


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _missing(place: Path) -> DataError:
    siblings = [item.name for item in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = did_you_mean(place.name, siblings) or "check data.source.path"
    return DataError(f"there is no file or folder {place}", hint=hint)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a question naming the closest known name, if one is close.

    Example:
        >>> did_you_mean("lable", ["text", "label"])
        "did you mean 'label'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None


def unknown_column(where: str, column: str, known: Iterable[str]) -> BadRecord:
    """Return the error for a column that is not there, naming those that are."""
    names = [str(name) for name in known]
    return BadRecord(
        f"{where} has no column {column!r}",
        reason="missing_column",
        expected=column,
        actual=", ".join(names) or "no columns",
        hint=did_you_mean(column, names) or "name one of its columns in data.source",
    )


def digest(*parts: str) -> str:
    """Return a hexadecimal digest of strings, each kept apart from the next."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(hashlib.blake2b(part.encode("utf-8", "surrogateescape")).digest())
    return total.hexdigest()


def fingerprint(parameters: str, files: Files) -> str:
    """Return a digest of parameters, and of the name, size and time of every file."""
    stats = ((files.name(path), path.stat()) for path in files.paths)
    return digest(parameters, *(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in stats))


def empty(path: Path) -> BadRecord:
    """Return the error for a file that holds no record."""
    return BadRecord(f"{path}, line 1: the file is empty", reason="empty_file")


def document(
    identity: str, where: str, text: object, label: object, labelled: bool
) -> Document | DataError:
    """Return a document from the values of one record, or what is wrong with them.

    Args:
        identity: the id of the document.
        where: file and line, for the error.
        text: must be a string.
        label: where `labelled`, a string, whole number or truth value; else not looked at.
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
    """Return a document from a record with named values, or what is wrong with it.

    Example:
        >>> from_record({"text": "words", "topic": 3}, "line 1", "1", "text", "topic")
        Document(id='1', text='words', label='3')
    """
    for column in (text, label):
        if column is not None and column not in record:
            return unknown_column(where, column, record)
    value = None if label is None else record[label]
    return document(identity, where, record[text], value, label is not None)
