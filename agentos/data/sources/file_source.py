"""What all sources that read files have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from agentos.data.sources import files
from agentos.data.sources.base import Document, Source, refuse_bad
from agentos.data.sources.files import Files, FilesPath
from protocols.errors import DataError


class FileSource(Source, ABC):
    """Base of sources that read files, one after the other, sorted by their path."""

    path: FilesPath

    @abstractmethod
    def found(self) -> Files:
        """Return the files that `path` means.

        Raises:
            DataError: there are none.
        """

    @abstractmethod
    def read(self, path: Path, name: str) -> Iterator[Document | DataError]:
        """Stream the documents of one file.

        Args:
            path: of the file.
            name: of the file, to begin the ids of documents with.

        Raises:
            DataError: the file cannot be read any further.
        """

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error for each record that cannot be used.

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
                yield files.empty(path)

    def documents(self) -> Iterator[Document]:
        """Stream the documents.

        Raises:
            DataError: there is nothing to read, or a file or a record cannot be used.
        """
        return refuse_bad(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name, size and time of every file."""
        return files.fingerprint(self.model_dump_json(), self.found())
