"""The server: its address, its end, and a port that is taken."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agentos.web.page_server import LiveServer
from protocols.errors import ConfigurationError


def test_server_beside_a_run_answers_until_the_context_is_left(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "later")
    with server.in_background():
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(server.url.split("?")[0])
        refused.value.close()
        assert refused.value.code == 403
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(server.url) as answer:
            assert b"AgentOS live" in answer.read()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url)


def test_addresses_hold_token_and_port_and_are_on_loopback(tmp_path: Path) -> None:
    server = LiveServer(tmp_path)
    try:
        assert server.url.startswith(f"http://127.0.0.1:{server.port}/?token=")
        assert server._socket.getsockname()[0] == "127.0.0.1"
    finally:
        server._socket.close()


def test_port_that_is_taken_and_address_that_is_not_here_are_explained(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot be served") as caught:
            LiveServer(tmp_path, port=taken.getsockname()[1])
    assert "--port" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="cannot be served"):
        LiveServer(tmp_path, host="192.0.2.1")
