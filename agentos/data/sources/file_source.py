"""Base of the sources that read files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from agentos.data.sources import files
from agentos.data.sources.base import Document, Source, raise_errors
from agentos.data.sources.files import Files, FilesPath
from agentos.data.sources.record import empty
from protocols.errors import DataError


class FileSource(Source, ABC):
    """Base of sources that read files one after another, sorted by path."""

    path: FilesPath

    @abstractmethod
    def found(self) -> Files:
        """Return the files that `path` matches.

        Raises:
            DataError: no file matches.
        """

    @abstractmethod
    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file.

        Args:
            path: file to read.
            name: the file's name, the prefix of its documents' ids.

        Raises:
            DataError: the file cannot be read any further.
        """

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error in place of each unusable record.

        Raises:
            DataError: there is nothing to read, or a file cannot be read any further.
        """
        found = self.found()
        for path in found.paths:
            used = False
            for record in self.read(path, found.name(path)):
                used = True
                yield record
            if not used:
                yield empty(path)

    def documents(self) -> Iterator[Document]:
        """Stream the documents.

        Raises:
            DataError: there is nothing to read, or a file or a record cannot be used.
        """
        return raise_errors(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name and content of every file."""
        return files.fingerprint(self.model_dump_json(), self.found())
