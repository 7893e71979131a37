"""Signals end a run in order: the first raises, and none after it disturbs the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from agentos.runtime.interruption import Interrupted, interruptible, named


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """Forget that a shell may have started these tests with signals ignored, as nohup does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def receive(number: signal.Signals) -> None:
    """Send this process a signal, and another one while it ends."""
    with interruptible():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_raises_once_and_the_handler_is_given_back(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught:
        receive(number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is signal.default_int_handler


def test_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def receive_bare(number: signal.Signals) -> None:
    """Send this process a signal, and raise what Ray raises in place of the error of a handler."""
    with interruptible():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except KeyboardInterrupt:
            bare = KeyboardInterrupt()
        assert named(bare).signal == number
        raise bare


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_bare_interrupt_keeps_the_name_of_the_signal(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught:
        receive_bare(number)
    assert caught.value.signal == number
