"""Folders that are either whole or absent: built under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from agentos.data.sources.files import file_digest
from protocols.errors import DataError

logger = logging.getLogger(__name__)
T = TypeVar("T")
DIGESTS = "digests.json"
"""Name of the file with a digest of every other file in a cache folder."""


def default_cache() -> Path:
    """Return the cache folder: $AGENTOS_CACHE, or else ~/.cache/agentos."""
    named = os.environ.get("AGENTOS_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "agentos"


@contextlib.contextmanager
def atomic_folder(directory: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `directory` on success.

    If another process has created `directory` in the meantime, its folder is kept. An error or an
    interrupt leaves nothing behind.

    Raises:
        DataError: the folder cannot be written.
    """
    building = _temporary_sibling(directory)
    try:
        yield building
        try:
            building.rename(directory)
        except OSError:  # renaming never replaces a folder that is not empty
            if not directory.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def discard(directory: Path) -> None:
    """Remove a folder atomically: renamed away in one step, then deleted file by file."""
    if directory.exists():
        aside = _temporary_sibling(directory)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            directory.rename(aside / directory.name)
        shutil.rmtree(aside, ignore_errors=True)


def _temporary_sibling(directory: Path) -> Path:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise DataError(
            f"the folder {directory.parent} cannot be written",
            actual=str(error),
            hint="set AGENTOS_CACHE to a writable folder",
        ) from error


def cached(directory: Path, build: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Load a folder, building it first if it is absent or damaged.

    If several processes need it at once, one builds it and the others wait. Digests of its files are
    recorded when it is built and compared before it is loaded, about a second for each gigabyte, so that
    a single changed byte means that it is damaged.

    Args:
        directory: its path, named by a digest of everything that it depends on.
        build: writes the content into a folder.
        load: reads it; DataError, OSError, ValueError or KeyError means that the folder is damaged.
    """
    with _locked(directory):
        if directory.exists():
            try:
                _verify(directory)
                return load(directory)
            except (DataError, OSError, ValueError, KeyError) as error:
                logger.warning("rebuilding the damaged cache folder %s: %s", directory, error)
                discard(directory)
        with atomic_folder(directory) as building:
            build(building)
            digests = {name: file_digest(building / name) for name in _names(building)}
            (building / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        return load(directory)


def _names(directory: Path) -> list[str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return sorted(path.relative_to(directory).as_posix() for path in files)


def _verify(directory: Path) -> None:
    """Raise DataError if a file differs from what was built; OSError or ValueError if one is missing."""
    recorded = json.loads((directory / DIGESTS).read_text(encoding="utf-8"))
    if not isinstance(recorded, dict):
        raise DataError(f"{directory / DIGESTS} holds no digests")
    for name, expected in recorded.items():
        found = file_digest(directory / name)
        if found != expected:
            raise DataError(
                f"{directory / name} has changed since it was built",
                expected=f"digest {expected}",
                actual=f"digest {found}",
            )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold a folder's lock among the processes of this machine; the system frees it if they die.

    The lock file is a sibling of the folder. Where the cache is read-only, or its file system has no
    locks, the lock file is in the temporary folder.
    """
    name = hashlib.blake2b(str(directory.absolute()).encode(), digest_size=16).hexdigest()
    elsewhere = Path(tempfile.gettempdir()) / f"agentos-{name}.lock"
    # Singletons, so that one thread may take a lock that it already holds.
    locks = [
        FileLock(path, mode=0o666, is_singleton=True)
        for path in (directory.with_name(f".{directory.name}.lock"), elsewhere)
    ]
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        held = locks[0].acquire()
    except (OSError, NotImplementedError):
        held = locks[1].acquire()
    with held:
        yield
