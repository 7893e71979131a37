"""Files to read: found by path, folder or glob, and identified by name and content."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from agentos.data.sources.opening import COMPRESSIONS, open_regular
from agentos.data.sources.record import did_you_mean
from protocols.errors import DataError

FilesPath = Annotated[str, Field(min_length=1, description="A file, a folder, or a glob.")]


class Files(NamedTuple):
    """Files to read, in order, and the folder that their ids are relative to."""

    root: Path
    paths: tuple[Path, ...]

    def name(self, path: Path) -> str:
        """Return the path relative to the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()


def find(path: str, pattern: str) -> Files:
    """Return the files that a path names: one file, a folder searched by pattern, or a glob.

    Args:
        path: relative to the current directory; ``~`` is expanded.
        pattern: files to find in a folder, compressed or not, endings in either case. Hidden files and
            folders are skipped.

    Raises:
        DataError: the path does not exist, or no file in it matches.
    """
    place = Path(path).expanduser().absolute()
    if place.exists() and not place.is_dir():
        return Files(place.parent, (place,))
    if place.is_dir():
        found: Iterable[Path] = {
            path
            for suffix in ("", *COMPRESSIONS)
            for path in place.glob(_any_case(pattern + suffix))
        }
        root, searched = place, pattern
    elif glob.has_magic(path):
        fixed = [part for part in place.parts if glob.has_magic(part)]
        root = Path(*place.parts[: place.parts.index(fixed[0])])
        searched = str(place.relative_to(root))
        found = map(Path, glob.glob(str(place), recursive=True))
    else:
        raise _missing(place)
    files = [file for file in found if file.is_file() and not _hidden(file, root)]
    if not files:
        raise DataError(
            f"no file to read in {root}",
            expected=f"files that match {searched}",
            actual="none",
            hint="check data.source.path, and the names of the files in the folder",
        )
    return Files(root, tuple(sorted(files, key=lambda file: file.relative_to(root).as_posix())))


def _any_case(pattern: str) -> str:
    """Return a pattern that matches endings in either case: .jsonl.gz and .JSONL.GZ alike."""
    endings = re.search(r"(\.\w+)*$", pattern)
    start = endings.start() if endings else len(pattern)
    either = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in pattern[start:])
    return pattern[:start] + "".join(either)


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _missing(place: Path) -> DataError:
    siblings = [item.name for item in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = did_you_mean(place.name, siblings) or "check data.source.path"
    return DataError(f"there is no file or folder {place}", hint=hint)


def digest(*parts: str) -> str:
    """Return a hexadecimal digest of strings; moving a character between two of them changes it."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(hashlib.blake2b(part.encode("utf-8", "surrogateescape")).digest())
    return total.hexdigest()


def fingerprint(parameters: str, files: Files) -> str:
    """Return a digest of parameters, and of the name and content of every file."""
    return digest(parameters, *(f"{files.name(path)} {file_digest(path)}" for path in files.paths))


_BLOCK = 1 << 20
_SETTLED_NS = 2_000_000_000
"""Age of a change from which a later one is sure to have another time of change."""

_digests: dict[tuple[int, ...], str] = {}


def file_digest(path: Path) -> str:
    """Return a digest of a file's content; a file is read again only if its status has changed.

    Name, size and time of modification identify no content: archives with normalised times, copies
    that keep times, and shards of equal size share them. The status includes the inode and the time
    of change, which no program can set.

    Raises:
        DataError: it is no regular file, or cannot be opened.
    """
    with open_regular(path) as stream:
        status = os.fstat(stream.fileno())
        known = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        if known in _digests:
            return _digests[known]
        total = hashlib.blake2b(digest_size=16)
        while block := stream.read(_BLOCK):
            total.update(block)
    if time.time_ns() - max(status.st_ctime_ns, status.st_mtime_ns) > _SETTLED_NS:
        _digests[known] = total.hexdigest()
    return total.hexdigest()
