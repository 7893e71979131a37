"""Plain text files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from agentos.data import files
from agentos.data.source import Document, Source, refuse_bad
from protocols.errors import DataError


class Text(Source):
    """A text file, a folder of them, or a glob; whole, by paragraph, or by line."""

    kind: Literal["text"] = "text"
    path: str = Field(min_length=1, description="A file, a folder, or a glob.")
    glob: str = Field(default="**/*.txt", min_length=1, description="What to read in a folder.")
    unit: Literal["document", "paragraph", "line"] = Field(
        default="document", description="What one document is; an empty line ends a paragraph."
    )
    label_from_folder: bool = Field(
        default=False, description="Label each document by the name of the folder its file lies in."
    )

    def documents(self) -> Iterator[Document]:
        """Stream the documents, files sorted by their path.

        Raises:
            DataError: nothing to read, an empty file, or bytes that are not UTF-8.
        """
        return refuse_bad(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name, size and time of every file."""
        return files.fingerprint(self.model_dump_json(), files.find(self.path, self.glob))

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error for an empty file or bytes that are not UTF-8."""
        found = files.find(self.path, self.glob)
        for path in found.paths:
            label = path.parent.name if self.label_from_folder else None
            used = False
            for number, text in self._units(path):
                used = True
                if isinstance(text, DataError):
                    yield text
                    continue
                name = found.name(path)
                yield Document(f"{name}:{number}" if number else name, text, label)
            if not used:
                yield files.empty(path)

    def _units(self, path: Path) -> Iterable[tuple[int, str | DataError]]:
        if self.unit == "document":
            return _whole(path)
        return _paragraphs(path) if self.unit == "paragraph" else _lines(path)


def _whole(path: Path) -> Iterator[tuple[int, str | DataError]]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        yield 0, files.not_utf8(f"{path}, line {line}", error)
        return
    if text.strip():
        yield 0, text


def _lines(path: Path) -> Iterator[tuple[int, str | DataError]]:
    for number, line in files.lines(path):
        if isinstance(line, DataError) or line.strip():
            yield number, line


def _paragraphs(path: Path) -> Iterator[tuple[int, str | DataError]]:
    """Group lines between empty ones; the number is that of the paragraph's first line."""
    first, held = 0, list[str]()
    for number, line in files.lines(path):
        if isinstance(line, DataError):
            yield number, line
        elif line.strip():
            first = first or number
            held.append(line)
        elif held:
            yield first, "\n".join(held)
            first, held = 0, []
    if held:
        yield first, "\n".join(held)
