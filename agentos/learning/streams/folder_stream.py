"""A stream of the files that come into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from agentos.data.sources.files import Files, digest, find
from agentos.learning.streams.base import Rows, Stream, StreamText
from protocols.errors import DataError


class Folder(Stream):
    """The files of a folder, each of them new data: one episode for each, by name.

    `new_files` tells which files have come since; a life that follows the folder asks it again and again.
    New files come last by name, so that documents keep their places. A file that is still being written
    should bear a name that `glob` does not match until it is whole.
    """

    kind: Literal["folder"] = "folder"
    path: str = Field(..., min_length=1, description="The folder.")
    glob: str = Field("**/*", min_length=1, description="Files in it that count.")

    def order(self, text: StreamText, seed: int) -> list[Rows]:
        """Return the documents of each file, whose name begins their ids."""
        found = np.array([_file_of(id) for id in text.ids])
        return [np.flatnonzero(found == name) for name in np.unique(found)]

    def names(self) -> set[str]:
        """Return the names of the files that are there; none in an empty folder.

        Raises:
            DataError: there is no such folder.
        """
        found = self._found()
        return (
            set() if found is None else {found.name(path) for path in found.paths if path.is_file()}
        )

    def new_files(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return the files that are not known yet, by name, with the digest of each; sorted.

        Args:
            known: digests of the files that earlier episodes have read, by name.

        Raises:
            DataError: there is no such folder, a known file has changed or is gone, or a new one comes before
                a known one by name.
        """
        present = self._digests()
        for name, was in known.items():
            if present.get(name) != was:
                raise DataError(
                    f"the file {name} of an earlier episode is not what it was",
                    expected=f"a file with the digest {was}",
                    actual=f"the digest {present[name]}" if name in present else "no such file",
                    hint="give new data a new name; what has been learnt cannot be read anew",
                )
        new = {name: value for name, value in present.items() if name not in known}
        if known and new and min(new) < max(known):
            raise DataError(
                f"the new file {min(new)} comes before files that have been learnt",
                expected=f"a name after {max(known)}",
                actual=min(new),
                hint="name files so that later ones come last, by their date for instance",
            )
        return new

    def _digests(self) -> dict[str, str]:
        found = self._found()
        if found is None:
            return {}
        files = sorted(path for path in found.paths if path.is_file())
        return {found.name(path): digest(path.read_bytes().hex()) for path in files}

    def _found(self) -> Files | None:
        """Return the files; None while there are none."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError(
                f"the folder {self.path} of the stream does not exist",
                expected="a folder",
                actual="a file" if folder.exists() else "nothing",
                hint="make it, or correct stream.path",
            )
        try:
            return find(self.path, self.glob)
        except DataError:  # nothing in it yet
            return None


def _file_of(id: str) -> str:
    name, colon, number = id.rpartition(":")
    return name if colon and number.isdigit() else id
