"""Ray starts while the corpus is prepared, and ends with the run, even if either fails."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from agentos.runtime.local import LocalRuntime
from agentos.runtime.ray.runtime import RayRuntime
from protocols.errors import DataError, RuntimeFailure


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Events of a connection that stands for Ray's."""
    seen: list[str] = []

    def connect(address: str | None, *settings: object) -> ExitStack:
        if address == "nowhere":
            raise RuntimeFailure("Ray could not be reached")
        assert threading.current_thread() is not threading.main_thread()
        seen.append("begun")
        connection = ExitStack()
        connection.callback(seen.append, "ended")
        return connection

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("agentos.runtime.ray.runtime.connect", connect)
    monkeypatch.setattr("agentos.runtime.ray.runtime.end_in_order", lambda: None)
    monkeypatch.setattr("agentos.runtime.ray.runtime.require_listener", lambda address: None)
    return seen


def test_address_where_nobody_listens_is_refused_before_anything_is_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # other tests may have started it
    prepared = False
    with pytest.raises(RuntimeFailure, match="reached"), RayRuntime().ahead("127.0.0.1:1"):
        prepared = True
    assert not prepared


def test_ray_is_up_when_it_was_waited_for_and_ends_with_the_run(seen: list[str]) -> None:
    with RayRuntime().ahead("127.0.0.1:6379") as wait:
        assert wait() is None  # joined already
        assert seen == ["begun"]
    assert seen == ["begun", "ended"]


def test_ray_ends_where_the_preparation_fails(seen: list[str]) -> None:
    with pytest.raises(DataError), RayRuntime().ahead():
        raise DataError("no documents")
    assert seen == ["begun", "ended"]


def test_failure_to_start_is_told_to_who_waits_and_to_nobody_else(seen: list[str]) -> None:
    with pytest.raises(RuntimeFailure, match="reached"), RayRuntime().ahead("nowhere") as wait:
        wait()
    with pytest.raises(DataError), RayRuntime().ahead("nowhere"):
        raise DataError("no documents")
    assert seen == []


def test_ray_that_is_up_already_is_left_alone(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    with RayRuntime().ahead("auto") as wait:
        assert wait() == "auto"  # for `start` to refuse
    assert seen == []


def test_runtimes_begin_nothing_of_themselves() -> None:
    with LocalRuntime().ahead("auto") as wait:
        assert wait() == "auto"
