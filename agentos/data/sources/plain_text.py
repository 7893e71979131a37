"""Plain text files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from agentos.data.sources import files, lines
from agentos.data.sources.base import Document
from agentos.data.sources.file_source import FileSource
from agentos.data.sources.files import Files
from agentos.data.sources.lines import Encoding
from agentos.data.sources.opening import DAMAGED, open_bytes
from agentos.data.sources.record import MAX_RECORD_BYTES, too_large
from protocols.errors import DataError


class Text(FileSource):
    """Text files, read whole, by paragraph or by line: a file, a folder or a glob; also compressed."""

    kind: Literal["text"] = "text"
    glob: str = Field(default="**/*.txt", min_length=1, description="Files to read in a folder.")
    unit: Literal["document", "paragraph", "line"] = Field(
        default="document", description="Extent of one document; an empty line ends a paragraph."
    )
    label_from_folder: bool = Field(
        default=False,
        description="Label each document with the name of the folder that holds its file.",
    )
    encoding: Encoding = "utf-8"

    def found(self) -> Files:
        """Return the files to read; in a folder, those that match `glob`."""
        return files.find(self.path, self.glob)

    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file; with `unit: document` the whole file is in memory."""
        label = path.parent.name if self.label_from_folder else None
        units = {"document": _whole, "paragraph": _paragraphs, "line": _lines}[self.unit]
        for number, text in units(path, self.encoding):
            if isinstance(text, DataError):
                yield text
            else:
                yield Document(f"{name}:{number}" if number else name, text, label)


def _whole(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    try:
        with open_bytes(path) as stream:
            raw = stream.read(MAX_RECORD_BYTES + 1)
        if len(raw) > MAX_RECORD_BYTES:
            yield 0, too_large(str(path))
            return
        text = lines.decode(raw, encoding, first=True)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        yield 0, lines.undecodable(f"{path}, line {line}", encoding, error)
    except DAMAGED as error:
        yield 0, lines.truncated(str(path), error)
    else:
        if text.strip():
            yield 0, text


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    for number, line in lines.lines(path, encoding):
        if isinstance(line, DataError) or line.strip():
            yield number, line


def _paragraphs(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    """Yield runs of non-empty lines, numbered by their first line."""
    first, held, size = 0, list[str](), 0
    for number, line in lines.lines(path, encoding):
        if isinstance(line, DataError):
            yield number, line
        elif line.strip():
            first, size = first or number, size + len(line) + 1
            if size <= MAX_RECORD_BYTES:
                held.append(line)
        elif held:
            yield first, _joined(path, first, held, size)
            first, held, size = 0, [], 0
    if held:
        yield first, _joined(path, first, held, size)


def _joined(path: Path, first: int, held: list[str], size: int) -> str | DataError:
    return "\n".join(held) if size <= MAX_RECORD_BYTES else too_large(f"{path}, line {first}")
