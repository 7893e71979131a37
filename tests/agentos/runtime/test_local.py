"""The host in this very process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from agentos.runtime.local import LocalRuntime, LocalStore
from protocols.errors import ConfigurationError, ModelError
from protocols.wire.buffers import Packet


@pytest.fixture
def threads() -> Iterator[int]:
    """The number of threads before; put back afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_session_computes_with_its_own_threads_and_gives_back_the_old(
    make_blueprint: Callable[..., Any], threads: int
) -> None:
    with LocalRuntime().start(make_blueprint(2, threads=threads + 1)) as session:
        assert torch.get_num_threads() == threads + 1
        assert session.hosts == (0,)
    assert torch.get_num_threads() == threads


def test_closing_again_does_not_touch_the_threads(
    make_blueprint: Callable[..., Any], threads: int
) -> None:
    session = LocalRuntime().start(make_blueprint(2))
    session.close()
    torch.set_num_threads(threads + 1)
    session.close()
    assert torch.get_num_threads() == threads + 1


def test_start_that_fails_gives_back_the_threads(
    make_blueprint: Callable[..., Any], threads: int
) -> None:
    blueprint = make_blueprint(2, threads=threads + 1, evaluation_length=100_000)
    with pytest.raises(ModelError, match=r"evaluation\.max_length"):
        LocalRuntime().start(blueprint)
    assert torch.get_num_threads() == threads


def test_address_is_refused(make_blueprint: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot join a cluster") as caught:
        LocalRuntime().start(make_blueprint(2), address="auto")
    assert caught.value.actual == "auto"
    assert "runtime.kind=ray" in str(caught.value.hint)


def test_error_inside_the_session_closes_it(
    make_blueprint: Callable[..., Any], threads: int
) -> None:
    session = LocalRuntime().start(make_blueprint(2, threads=threads + 1))
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    assert torch.get_num_threads() == threads


def test_store_keeps_what_was_said_when_the_sender_goes_on_training() -> None:
    numbers = np.arange(3, dtype=np.uint8)
    store = LocalStore()
    handle = store.put([Packet((numbers, numbers[:1]))])
    numbers[:] = 9
    ((found,), nothing) = store.get([handle, store.put([])])
    assert (found.tolist(), nothing) == ([0, 1, 2, 0], [])
    assert store.get([handle])[0][0] is found
