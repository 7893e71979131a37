"""Changes of the disk by Python code in this process, as the interpreter's audit events report them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PATHS = {
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
}
"""Audit events of what changes a folder, and how many paths each names; `open` for writing is another."""
_NOWHERE = ("/dev/", "/proc/")


def changed(event: str, arguments: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the paths that an event is about to change; none if it only reads.

    Example:
        >>> changed("os.rename", ("a", "b", -1, -1)), changed("open", ("a", "r", os.O_RDONLY))
        (('a', 'b'), ())
    """
    if event == "open":
        path, _, flags = arguments
        named = isinstance(path, (str, bytes, os.PathLike))
        writes = isinstance(flags, int) and flags & WRITES
        return (os.fsdecode(path),) if named and writes else ()
    named_paths = arguments[: PATHS.get(event, 0)]
    return tuple(os.fsdecode(path) for path in named_paths if not isinstance(path, int))


def counted(folder: Path, last: int | None, status: int) -> Callable[[], int]:
    """Count this process's steps in a folder, and die before the last; return the count so far.

    Args:
        folder: in which a step counts.
        last: number of the step that is not taken; None to take all.
        status: exit code of the process that dies.
    """
    taken = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if any(path.startswith(str(folder)) for path in changed(event, arguments)[:1]):
            taken[0] += 1
            if taken[0] == last:
                os._exit(status)

    sys.addaudithook(hook)
    return lambda: taken[0]


_inside: list[Path] = []
_outside: list[str] = []
_hooked: list[bool] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _inside or not (paths := changed(event, arguments)):
        return
    folder = str(_inside[-1])
    for path in paths:
        # A relative name belongs to an open folder, within which a tree is being removed.
        if os.path.isabs(path) and not path.startswith((folder, *_NOWHERE)):
            _outside.append(f"{event} {path}")


@contextmanager
def confined() -> Iterator[list[str]]:
    """Put temporary folders into one of their own, and list what Python code changes outside it.

    Yields:
        Events and paths, as they happen; the caller empties the list.
    """
    if not _hooked:
        sys.addaudithook(_watch)  # a hook stays for the life of the process
        _hooked.append(True)
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        tempfile.tempdir = str(folder)
        _inside.append(folder)
        _outside.clear()
        try:
            yield _outside
        finally:
            _inside.pop()
            tempfile.tempdir = before
