"""Errors of Ray, translated into those of a run; new hosts can repair `HostLost`."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import agents
import protocols
from protocols.errors import AgentOSError, HostLost, RuntimeFailure

if TYPE_CHECKING:
    from ray.exceptions import RayTaskError

_FRAME = re.compile(r'File "(.+?)", line (\d+), in ')
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory", re.IGNORECASE)
"""Messages of PyTorch where an allocation fails, on processors and on accelerators."""
_OWN = (*(Path(package.__path__[0]) for package in (agents, protocols)), Path(__file__).parents[2])
_STANDARD = (Path(sysconfig.get_path("stdlib")),)


def host_died(host: int, title: str, why: str) -> HostLost:
    """Return the error of a host that has died."""
    return HostLost(
        f"host {host} died while it was to {title}",
        expected="an answer",
        actual=why,
        hint="look for a lack of memory or a killed process, and continue with 'agentos resume'",
    )


def raised_on_host(error: RayTaskError, host: int, title: str) -> RuntimeFailure | None:
    """Return the error of a user's code on a host, which ends in its file and line; None if there is none."""
    place = user_line(str(error))
    if place is None:
        return None
    what = "".join(traceback.format_exception_only(error.cause)).strip()
    return RuntimeFailure(f"host {host} could not {title}: {what}", hint=f"correct {place}")


def user_line(text: str) -> str | None:
    """Return the last file and line of a traceback outside of libraries and of this program, if there is one.

    Example:
        >>> user_line('File "/me/mine.py", line 3, in f\\nFile "/lib/site-packages/torch/x.py", line 9, in g')
        '/me/mine.py, line 3'
    """
    found = [f"{name}, line {line}" for name, line in _FRAME.findall(text) if not _is_library(name)]
    return found[-1] if found else None


def _is_library(name: str) -> bool:
    place = Path(name)
    if "site-packages" in place.parts or name.startswith("<"):
        return True
    return any(place.is_relative_to(folder) for folder in (*_OWN, *_STANDARD))


def translated(error: BaseException, host: int, title: str) -> AgentOSError | None:
    """Translate an error of Ray into an error of the run; return None for other errors.

    Args:
        error: raised while waiting for an answer, or its cause in the host.
        host: the host that did not answer.
        title: title of the call that the host was to run.
    """
    from ray import exceptions

    first = str(error).strip().split("\n")[0]
    if isinstance(error, (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)):
        return RuntimeFailure(
            f"Ray's object store is full: host {host} could not {title}",
            expected="room for the messages of a hop",
            actual=first,
            hint="make room where Ray spills to (runtime.spill_folder names another folder), or raise "
            "runtime.object_store_mb: 'agentos resume DIR runtime.object_store_mb=...' goes on; or send "
            "less, with exchange.codec",
        )
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))
    ):
        return RuntimeFailure(
            f"host {host} could not {title}: it gets no more memory",
            actual=first,
            hint="set training.micro_batch_tokens or a smaller training.batch_size, or use fewer hosts; "
            "'agentos resume' goes on from the last checkpoint",
        )
    if isinstance(error, (exceptions.RayActorError, exceptions.OutOfMemoryError)):
        return host_died(host, title, first)
    if isinstance(error, exceptions.ObjectLostError):
        return HostLost(
            f"host {host} could not {title}: messages are gone with the host that sent them",
            actual=first,
            hint="look for a lack of memory or a killed process, and continue with 'agentos resume'",
        )
    return None
