"""Folders that are either whole or absent: built under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from agentos.data.sources.files import file_digest
from protocols.errors import DataError

logger = logging.getLogger(__name__)
T = TypeVar("T")
DIGESTS = "digests.json"
"""Name of the file with a digest of every other file in a cache folder."""

_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of a file system that takes nothing more."""
_RANDOM_CHARACTERS = 8
"""Length of the random part of a folder's name from `tempfile.mkdtemp`."""


def default_cache() -> Path:
    """Return the cache folder: $AGENTOS_CACHE, or else ~/.cache/agentos."""
    named = os.environ.get("AGENTOS_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "agentos"


@contextlib.contextmanager
def atomic_folder(directory: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `directory` on success.

    If another process has created `directory` in the meantime, its folder is kept. An error or an
    interrupt leaves nothing behind. The folder gets the permissions that any new folder of this user has, so
    that users who share a cache can read each other's entries.

    Raises:
        DataError: the folder cannot be written.
    """
    building = _temporary_sibling(directory)
    try:
        yield building
        try:
            building.chmod(0o777 & ~_umask())
            building.rename(directory)
        except OSError:  # renaming never replaces a folder that is not empty
            if not directory.is_dir():
                raise
    except OSError as error:
        if error.errno not in _REFUSED:  # it may be an error of the source that is read
            raise
        raise _unusable(directory.parent, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def discard(directory: Path) -> None:
    """Remove a folder atomically: renamed away in one step, then deleted file by file."""
    if directory.exists():
        aside = _temporary_sibling(directory)
        try:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                directory.rename(aside / directory.name)
        except OSError as error:
            raise _unusable(directory, error) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _temporary_sibling(directory: Path) -> Path:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise _unusable(directory.parent, error) from error


def _unusable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the cache folder {folder} cannot be used",
        expected="a folder with free space that this user may read and write",
        actual=error.strerror or str(error),
        hint="set AGENTOS_CACHE to such a folder",
    )


def _umask() -> int:
    """Return the mask of new files' permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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
        _remove_abandoned(directory)
        try:
            if directory.exists():
                _require_readable(directory)
                _verify(directory)
                return load(directory)
        except PermissionError as error:  # it belongs to another user, and may well be whole
            raise _unusable(directory, error) from error
        except (DataError, OSError, ValueError, KeyError) as error:
            logger.warning("rebuilding the damaged cache folder %s: %s", directory, error)
            discard(directory)
        with atomic_folder(directory) as building:
            build(building)
            digests = {name: file_digest(building / name) for name in _names(building)}
            (building / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        return load(directory)


def _require_readable(directory: Path) -> None:
    """Raise PermissionError where a file cannot be read; some loaders raise other errors."""
    for path in (directory, *directory.iterdir()):
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _remove_abandoned(directory: Path) -> None:
    """Remove the temporary folders of builds that were killed.

    A folder is built under the lock of its entry, which the system frees when a process dies. Where the lock
    is free, the builder is gone.

    Args:
        directory: an entry whose lock is held; its neighbours are looked after as well.
    """
    parent = directory.parent
    # A cache that this user may only read, or whose file system has no locks, stays as it is.
    with contextlib.suppress(OSError, NotImplementedError):
        for path in parent.glob(".*-" + "?" * _RANDOM_CHARACTERS):
            entry = parent / path.name[1 : -1 - _RANDOM_CHARACTERS]
            lock = _file_lock(_lock_file(entry))
            own = int(entry.name == directory.name)
            # A lock that this thread holds is no proof: the folder may be its own, further up the stack.
            if lock.lock_counter != own or not _lock_file(entry).exists() or path.is_symlink():
                continue
            with contextlib.suppress(Timeout), lock.acquire(timeout=0):
                logger.info("removing %s, which a killed build left behind", path)
                shutil.rmtree(path, ignore_errors=True)


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

    The lock file is a sibling of the folder. If the cache is read-only, or its file system has no
    locks, the lock file is in the temporary folder.
    """
    name = hashlib.blake2b(str(directory.absolute()).encode(), digest_size=16).hexdigest()
    # With the user in its name: a temporary folder lets users open their own files only.
    user = getattr(os, "getuid", lambda: "")()
    elsewhere = Path(tempfile.gettempdir()) / f"agentos-{user}-{name}.lock"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        held = _file_lock(_lock_file(directory)).acquire()
    except (OSError, NotImplementedError):
        try:
            held = _file_lock(elsewhere).acquire()
        except OSError as error:
            raise _unusable(directory.parent, error) from error
    with held:
        yield


def _lock_file(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")


def _file_lock(path: Path) -> FileLock:
    """Return the lock of a file: a singleton, so that one thread may take a lock that it already holds."""
    return FileLock(path, mode=0o666, is_singleton=True)
