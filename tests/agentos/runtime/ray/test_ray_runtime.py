"""Ray hosts: deadlines, deaths, errors and turns. Stand-ins without agents take the place of hosts."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentos.runtime import Session
from agentos.runtime.host_calls import HostCall
from agentos.runtime.interruption import Interrupted, interruptible
from agentos.runtime.ray.runtime import RayRuntime
from protocols.errors import (
    AgentOSError,
    ConfigurationError,
    DeadlineExceeded,
    RuntimeFailure,
    TrainingError,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Open = Callable[..., Session]


class StandIn:
    """An actor without agents."""

    def __init__(self, parcel_bytes: int, kept_bytes: int) -> None:
        pass

    def run(self, call: HostCall[Any]) -> Any:
        return call.run(self)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pid(HostCall[int]):
    """Return the process of the host."""

    def run(self, host: Any) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Nap(HostCall[tuple[float, float]]):
    """Sleep; return when the nap began and ended."""

    seconds: float

    def run(self, host: Any) -> tuple[float, float]:
        began = time.time()
        time.sleep(self.seconds)
        return began, time.time()


@dataclass(frozen=True)
class Fail(HostCall[None]):
    """Raise an error."""

    error: Exception

    def run(self, host: Any) -> None:
        raise self.error


@dataclass(frozen=True)
class Die(HostCall[None]):
    """End the process of the host."""

    def run(self, host: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def open_hosts(ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open a session of stand-ins on a machine that seems to have so many cores."""
    import ray

    monkeypatch.setattr("agentos.runtime.ray.session.HostActor", StandIn)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it
    sessions = []

    def start(hosts: int, cores: int = 2, **runtime: Any) -> Session:
        monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": float(cores)})
        session = RayRuntime(hosts=hosts, **runtime).open(agents=hosts)
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.close()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def gone(pid: int, within_s: float = 20.0) -> bool:
    """Whether a process ends within so many seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(began <= other < ended for began, ended in spans) for other, _ in spans)


@pytest.mark.parametrize(("threads", "at_once"), [(1, 2), (2, 1)])
def test_more_hosts_than_cores_take_turns(open_hosts: Open, threads: int, at_once: int) -> None:
    session = open_hosts(4, cores=2, threads=threads)
    session.call(dict.fromkeys(range(4), Pid()))  # all are up
    spans = session.call(dict.fromkeys((2, 0, 3, 1), Nap(0.3)))
    assert list(spans) == [2, 0, 3, 1]
    assert most_at_once(list(spans.values())) == at_once


def test_signal_during_a_call_keeps_its_name(open_hosts: Open) -> None:
    """Ray raises a bare `KeyboardInterrupt` in place of what a signal handler raised."""
    session = open_hosts(1)
    session.call({0: Pid()})
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have started these tests
    alarm = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGHUP))
    try:
        alarm.start()
        with pytest.raises(Interrupted) as caught, interruptible():
            session.call({0: Nap(3.0)})
    finally:
        alarm.join()
        signal.signal(signal.SIGHUP, before)
    assert caught.value.signal == signal.SIGHUP


def test_late_host_exceeds_the_deadline(open_hosts: Open) -> None:
    session = open_hosts(2, timeout_s=15.0)
    session.call({0: Pid(), 1: Pid()})
    late = open_hosts(1, timeout_s=0.5)
    began = time.monotonic()
    with pytest.raises(
        DeadlineExceeded, match=r"hosts \[0\] did not finish 'nap' in time"
    ) as caught:
        late.call({0: Nap(120.0)})
    assert time.monotonic() - began < 10
    assert caught.value.expected == "an answer within 0.5 s"
    assert "runtime.timeout_s" in str(caught.value.hint)
    # The clock of each call starts with it: naps one after another are no reason to give up.
    assert session.call({0: Nap(0.1), 1: Nap(0.1)}).keys() == {0, 1}


def test_errors_on_a_host_arrive_as_themselves(open_hosts: Open) -> None:
    session = open_hosts(1)
    sent = TrainingError("not finite", expected="a number", actual="nan", hint="lower the rate")
    with pytest.raises(TrainingError) as caught:
        session.call({0: Fail(sent)})
    assert type(caught.value) is TrainingError
    assert caught.value.__dict__ == sent.__dict__
    with pytest.raises(
        RuntimeFailure, match="0 could not fail: ZeroDivisionError: by hand"
    ) as hand:
        session.call({0: Fail(ZeroDivisionError("by hand"))})
    lines = Path(__file__).read_text("utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.strip() == "raise self.error")
    assert str(hand.value).endswith(f"hint: correct {__file__}, line {line}")
    assert session.call({0: Nap(0.0)})  # it goes on living


def test_death_of_a_host_is_named(open_hosts: Open) -> None:
    session = open_hosts(2)
    with pytest.raises(RuntimeFailure, match="host 1 died while it was to die") as caught:
        session.call({1: Die()})
    assert "killed process" in str(caught.value.hint)
    with pytest.raises(RuntimeFailure, match="host 1 died while it was to pid"):
        session.call({0: Pid(), 1: Pid()})


def test_closing_ends_every_host_and_leaves_ray_as_it_was(open_hosts: Open) -> None:
    import ray

    session = open_hosts(2)
    pids = session.call({0: Pid(), 1: Pid()}).values()
    session.close()
    session.close()
    assert all(gone(pid) for pid in pids)
    assert ray.is_initialized()


def test_closing_ends_a_host_that_is_busy(open_hosts: Open) -> None:
    session = open_hosts(1, timeout_s=20.0)
    (pid,) = session.call({0: Pid()}).values()
    session._runtime = session._runtime.model_copy(update={"timeout_s": 0.2})  # type: ignore[attr-defined]
    with pytest.raises(DeadlineExceeded), session:
        session.call({0: Nap(120.0)})
    assert gone(pid)


def test_second_connection_is_refused(ray_cluster: None) -> None:
    with pytest.raises(ConfigurationError, match="connected to Ray already") as caught:
        RayRuntime().open(agents=2, address="127.0.0.1:6379")
    assert caught.value.actual == "127.0.0.1:6379"


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_address_where_nobody_listens_is_refused_at_once(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(RuntimeFailure, match="Ray could not be reached") as caught:
        RayRuntime().open(agents=2, address=address)
    assert time.monotonic() - began < 30
    assert address in str(caught.value.actual)
    assert "ray start --head" in str(caught.value.hint)


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No cluster runs; return the file that holds the address of the one that was started last."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", lambda: frozenset())
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray" / "ray_current_cluster"


def test_auto_is_refused_at_once_where_the_last_cluster_is_gone(no_cluster: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    no_cluster.write_text(address, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(RuntimeFailure, match="Ray could not be reached") as caught:
        RayRuntime().open(agents=2, address="auto")
    assert time.monotonic() - began < 30
    assert address.split(":")[1] in str(caught.value.actual)
    assert "ray start --head" in str(caught.value.hint)


def test_auto_is_refused_where_there_was_no_cluster(no_cluster: Path) -> None:
    assert not no_cluster.exists()
    with pytest.raises(RuntimeFailure, match="Ray could not be reached") as caught:
        RayRuntime().open(agents=2, address="auto")
    assert "Could not find any running Ray" in str(caught.value.actual)


def test_session_that_fails_to_open_is_an_agentos_error(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(AgentOSError, match="Ray could not be reached"):
        RayRuntime().open(agents=2, address="nonsense")


def test_refused_token_says_where_tokens_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(*arguments: Any, **options: Any) -> None:
        raise ray.exceptions.AuthenticationError("InvalidAuthToken")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr("agentos.runtime.ray.connection.require_listener", lambda address: None)
    with pytest.raises(RuntimeFailure, match="does not have the cluster's token") as caught:
        RayRuntime().open(agents=2, address="auto")
    for told in ("RAY_AUTH_MODE=token", "~/.ray/auth_token", "RAY_AUTH_TOKEN_PATH"):
        assert told in str(caught.value.hint)


def test_ray_that_does_not_start_in_time_is_an_agentos_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    def time_out(*arguments: Any, **options: Any) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray says it

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", time_out)
    with pytest.raises(RuntimeFailure, match="Ray could not be started") as caught:
        RayRuntime(spill_folder=str(tmp_path)).open(agents=2)
    assert "timed out during startup" in str(caught.value.actual)
    assert list(tmp_path.iterdir()) == []


def test_folder_for_messages_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeFailure, match="messages cannot be spilled to") as caught:
        RayRuntime(spill_folder=str(tmp_path / "file")).open(agents=2)
    assert caught.value.actual == "Not a directory"
    assert "runtime.spill_folder" in str(caught.value.hint)
