"""Folders that are either whole or not there: built beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from protocols.errors import DataError

logger = logging.getLogger(__name__)
T = TypeVar("T")


def default_cache() -> Path:
    """Return the folder for what can be computed again: $AGENTOS_CACHE, else ~/.cache/agentos."""
    named = os.environ.get("AGENTOS_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "agentos"


@contextlib.contextmanager
def whole_or_nothing(directory: Path) -> Iterator[Path]:
    """Give a temporary folder; on leaving without an error, rename it to `directory`.

    If another process has made `directory` meanwhile, its folder stays. An error or an interrupt
    leaves nothing behind.

    Raises:
        DataError: the folder cannot be written.
    """
    building = _beside(directory)
    try:
        yield building
        try:
            building.rename(directory)
        except OSError:  # a folder that is not empty is not renamed over
            if not directory.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def discard(directory: Path) -> None:
    """Remove a folder at once: out of its place in one step, then file by file."""
    if directory.exists():
        aside = _beside(directory)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            directory.rename(aside / directory.name)
        shutil.rmtree(aside, ignore_errors=True)


def _beside(directory: Path) -> Path:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise DataError(
            f"the folder {directory.parent} cannot be written",
            actual=str(error),
            hint="set AGENTOS_CACHE to a folder that can be",
        ) from error


def cached(directory: Path, build: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Load a folder, building it first where it is not there or is damaged.

    Of several processes that want it at once, one builds it and the others wait.

    Args:
        directory: its place, named by a digest of all that it depends on.
        build: writes the content into a folder.
        load: reads it; any of DataError, OSError, ValueError and KeyError means that it is damaged.
    """
    with _locked(directory):
        if directory.exists():
            try:
                return load(directory)
            except (DataError, OSError, ValueError, KeyError) as error:
                logger.warning("rebuilding the damaged cache folder %s: %s", directory, error)
                discard(directory)
        with whole_or_nothing(directory) as building:
            build(building)
        return load(directory)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a folder among this machine's processes; it is freed when its holder dies.

    Its file lies beside the folder, and goes with the cache. A cache may be read-only, or on a file system
    that has no locks; then it lies in the temporary folder.
    """
    from filelock import FileLock

    name = hashlib.blake2b(str(directory.absolute()).encode(), digest_size=16).hexdigest()
    elsewhere = Path(tempfile.gettempdir()) / f"agentos-{name}.lock"
    # Singletons: one thread may hold a lock twice.
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
