"""Obstacles to a service are reported before Ray is started."""

from __future__ import annotations

import logging
import socket
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private import replica
from starlette.responses import PlainTextResponse
from typer.testing import CliRunner

from agentos.cli.main import app
from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.deployments import listen_on_loopback
from agentos.tasks.serving.service import Service, bound
from agentos.tasks.society.saved_society import SOCIETY, load_society, save_society
from protocols.errors import ConfigurationError, ModelError, RecordError, RuntimeFailure


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where Ray would be started."""
    monkeypatch.setattr(Service, "_deploy", lambda service: pytest.fail("Ray was started"))


def test_folder_without_a_society_is_refused(tmp_path: Path, no_ray: None) -> None:
    with pytest.raises(RecordError, match="agentos solve"):
        Service.open(tmp_path)
    found = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert isinstance(found.exception, RecordError)


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:81"), ("::1", "http://[::1]:81")]
)
def test_address_of_a_service_can_be_opened(host: str, url: str) -> None:
    assert Service(None, ServeConfig(host=host, port=81)).url == url  # type: ignore[arg-type]


def test_requests_are_neither_logged_nor_told_what_serves_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Ingress:
        """Answers every path, in place of a society."""

        def __init__(self, *given: object) -> None:
            pass

        def api(self) -> Any:
            return PlainTextResponse("here")

        def close(self) -> None:
            closed.append("ingress")

    closed: list[str] = []
    monkeypatch.setattr("agentos.tasks.serving.service.Ingress", Ingress)
    service = Service(None, ServeConfig(port=0))  # type: ignore[arg-type]
    with bound("127.0.0.1", 0) as listening, caplog.at_level(logging.INFO):
        service._listen(listening)
        port = listening.getsockname()[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/secret", timeout=60) as found:
            assert found.read() == b"here"
            assert "server" not in found.headers
        service.close()
    assert closed == ["ingress"]
    assert service._thread is not None
    assert not service._thread.is_alive()
    assert "secret" not in caplog.text


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("agentos.tasks.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    found = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert isinstance(found.exception, ConfigurationError)
    assert found.exception.hint == "pip install 'llm-agentos[serve]'"


@pytest.mark.parametrize("option", ["--num-cpus", "--num-gpus", "--deadline-s", "--batch-wait-ms"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_numbers_out_of_range_are_refused(
    option: str, value: str, solved: Path, no_ray: None
) -> None:
    found = CliRunner().invoke(app, ["serve", str(solved), f"{option}={value}"])
    assert found.exit_code == 2 or isinstance(found.exception, ConfigurationError)


def test_port_that_is_taken_is_refused(solved: Path, no_ray: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="another --port"):
            Service.open(solved, ServeConfig(port=port)).start()
    with pytest.raises(ConfigurationError, match="of this machine"):
        bound("203.0.113.7", 0)
    with pytest.raises(ConfigurationError):
        bound("no such host.invalid", 0)
    with bound("127.0.0.1", 0) as free:
        assert free.getsockname()[0] == "127.0.0.1"


def test_society_whose_model_is_gone_is_refused(solved: Path, tmp_path: Path, no_ray: None) -> None:
    fitted = load_society(solved / SOCIETY)
    first = fitted.members[0]
    gone = replace(first, card=first.card.model_copy(update={"path": str(tmp_path / "gone")}))
    save_society(replace(fitted, members=(gone, *fitted.members[1:])), tmp_path / SOCIETY)
    with pytest.raises(ModelError, match="gone"):
        Service.open(tmp_path).start()


@pytest.mark.parametrize(
    ("given", "cpus", "share"),
    [
        ({}, 8.0, 1.0),  # one thread each
        ({}, 1.0, 0.5),
        ({"replicas": 3}, 2.0, 0.33),
        ({"num_cpus": 0.25}, 2.0, 0.25),
        ({"num_cpus": 1.5}, 2.0, None),
        ({"num_gpus": 0.5}, 2.0, None),
        ({"replicas": 300}, 2.0, None),
    ],
)
def test_share_of_each_process_fits_the_machine(
    solved: Path, given: dict[str, Any], cpus: float, share: float | None
) -> None:
    service = Service.open(solved, ServeConfig(**given))
    if share is None:
        with pytest.raises(ConfigurationError, match="fit"):
            service.share(cpus, 0.0)
    else:
        assert service.share(cpus, 0.0) == share


def test_replicas_listen_on_loopback_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    opens: Callable[..., Any] = lambda server, address: opened.append(address)  # noqa: E731
    monkeypatch.setattr(replica, "add_port_to_grpc_server", opens)
    listen_on_loopback()
    replica.add_port_to_grpc_server(None, "[::]:0")
    assert opened == ["127.0.0.1:0"]
    monkeypatch.delattr(replica, "add_port_to_grpc_server")
    with pytest.raises(RuntimeFailure, match="loopback"):
        listen_on_loopback()
