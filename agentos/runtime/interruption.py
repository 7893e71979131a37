"""Requests to end a run, from the keyboard, a batch system or a closed terminal: each ends it in order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEATS_S = 2.0
"""Seconds for which a second Ctrl-C counts as the first: a terminal and a parent may each send one."""


class Interrupted(KeyboardInterrupt):
    """A request to end, with the signal that brought it.

    Example:
        >>> Interrupted(signal.SIGTERM).exit_code, str(Interrupted(signal.SIGTERM))
        (143, 'interrupted by SIGTERM')
    """

    def __init__(self, signal_number: int) -> None:
        self.signal = signal.Signals(signal_number)
        super().__init__(f"interrupted by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """Exit code by which shells and batch systems know the signal."""
        return 128 + self.signal


_requests: list[tuple[int, float]] = []
"""Signals that asked to end what `interruptible` surrounds, each with its time in monotonic seconds."""


def named(error: KeyboardInterrupt) -> Interrupted:
    """Return a request to end with its signal: Ray raises a bare `KeyboardInterrupt` in its place."""
    if isinstance(error, Interrupted):
        return error
    return Interrupted(_requests[-1][0] if _requests else signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on Ctrl-C, SIGTERM and SIGHUP.

    What a signal raises while the code inside waits for Ray is a bare `KeyboardInterrupt` there, which
    `named` explains, and an `Interrupted` outside.

    Signals that come while the first one is dealt with are ignored, so that hosts are ended and records
    completed; only a later Ctrl-C is raised again. Signals that the caller ignores, as ``nohup`` does, stay
    ignored. Outside the main thread, which alone receives signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requests.clear()

    def interrupt(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if _requests and (number != signal.SIGINT or now - _requests[0][1] < REPEATS_S):
            return
        _requests.append((number, now))
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in _signals()}
    taken = {number for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        raise named(error) from None
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _signals() -> tuple[int, ...]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))
