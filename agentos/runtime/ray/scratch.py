"""A folder that is removed when this process ends, in whichever way it does."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from protocols.errors import RuntimeFailure

_WATCH = 'read -r _; sleep 5; rm -rf -- "$0"'
"""Waits for the end of its input, which comes with the end of the process that made it; removes a folder.

The pause lets Ray's processes, which may still write there, notice that their driver is gone.
"""


class Scratch:
    """A new folder for files that are useless after the run. For systems with a POSIX shell.

    A shell waits for the end of this process, so that ``kill -9`` leaves nothing. It is in a session of its
    own, where no Ctrl-C reaches it.

    Args:
        parent: where the folder is made; None for the system's temporary folder.

    Raises:
        RuntimeFailure: the folder cannot be made.

    Example:
        >>> with Scratch() as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """

    def __init__(self, parent: str | None = None) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="agentos-", dir=parent)).absolute()
        except OSError as error:
            raise RuntimeFailure(
                f"messages cannot be spilled to {parent or tempfile.gettempdir()}",
                expected="a folder that this user may write to",
                actual=error.strerror or str(error),
                hint="make it, or set runtime.spill_folder to another folder",
            ) from error
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._watcher.kill()
        self._watcher.communicate()
