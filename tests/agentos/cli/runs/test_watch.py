"""``agentos watch`` and ``agentos run --live``: the address that is printed is the one that answers."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentos.cli.display.progress import LiveDisplay
from agentos.cli.main import app
from agentos.cli.runs import watch as module
from agentos.records.reports import RoundReport
from agentos.web.page_server import LiveServer
from protocols.errors import ConfigurationError, RecordError


def fetch(url: str, path: str = "") -> bytes:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(url) as answer:
        page: bytes = answer.read()
    if not path:
        return page
    with opener.open(url.split("/?")[0] + path) as answer:
        found: bytes = answer.read()
    return found


@pytest.mark.slow
def test_watch_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agentos.cli", "watch", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
    assert b"AgentOS live" in fetch(url)
    assert b'"runs":[]' in fetch(url, "/api/runs")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["watch", str(tmp_path / "missing")])
    assert isinstance(done.exception, RecordError)
    assert "agentos run" in str(done.exception.hint)


def test_default_port_gives_way_and_a_named_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LiveServer(tmp_path)
    try:
        monkeypatch.setattr(module, "PORT", first.port)
        second = module.live_server(tmp_path)
        assert second.port != first.port
        second._socket.close()
        with pytest.raises(ConfigurationError, match="cannot be served"):
            module.live_server(tmp_path, port=first.port)
    finally:
        first._socket.close()


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agentos.web.page_server", None)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        module.live_server(tmp_path)
    assert "llm-agentos[live]" in str(caught.value.hint)


@pytest.mark.slow
def test_run_with_a_live_page_ends_as_without(
    config_file: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    seen: list[bytes] = []
    tell = LiveDisplay.on_round

    def on_round(display: LiveDisplay, report: RoundReport) -> None:
        tell(display, report)
        seen.append(fetch(urls[0], "/api/runs"))

    urls: list[str] = []
    begin = LiveServer.__init__

    def remember(server: LiveServer, *arguments: Any) -> None:
        begin(server, *arguments)
        urls.append(server.url)

    monkeypatch.setattr(LiveDisplay, "on_round", on_round)
    monkeypatch.setattr(LiveServer, "__init__", remember)
    done = CliRunner().invoke(
        app, ["run", str(config_file), "--live", "--out", str(tmp_path / "run")]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"live page: http://127\.0\.0\.1:\d+/\?token=\S+", done.output)
    assert len(seen) == 6, "three rounds, and three of the agents alone"
    assert all(b'"status":"running"' in answer for answer in seen)
    with pytest.raises(urllib.error.URLError):
        fetch(urls[0])
    assert (tmp_path / "run" / "summary.json").exists()
