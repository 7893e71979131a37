"""The answers of the live page: runs, events, reports, and what is done to runs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from agentos.web import application as module
from agentos.web.access import Secrets
from agentos.web.application import LivePage, application
from agentos.web.run_parts import RunParts

TOKENS = Secrets(access="access-token", csrf="csrf-token")
CHANGE = {"X-AgentOS-Token": "csrf-token"}


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "runs").mkdir(exist_ok=True)
    client = TestClient(application(tmp_path / "runs", TOKENS, 1))
    client.get("/?token=access-token")
    return client


def test_runs_come_with_their_status_and_without_folders_of_this_machine(
    client: TestClient, pretend: Callable[..., Any], tmp_path: Path
) -> None:
    assert client.get("/api/runs").json() == {"folder": "runs", "runs": []}
    pretend("busy").round()
    ended = pretend("study/runs/ring-0")
    ended.round()
    ended.end("failed")
    ended.__exit__()
    answer = client.get("/api/runs")
    rows = {row["id"]: row for row in answer.json()["runs"]}
    assert rows["busy"]["status"] == "running"
    assert rows["busy"]["process"] == os.getpid()
    assert rows["study/runs/ring-0"]["status"] == "failed"
    assert str(tmp_path) not in answer.text


def events_of(page: LivePage, id: str, seconds: float) -> list[tuple[str, Any]]:
    """Return the events of a run within some seconds."""

    async def gather() -> list[tuple[str, Any]]:
        watched = page._watch(id)
        assert watched is not None
        found: list[tuple[str, Any]] = []
        stream = page._stream(watched)
        try:
            async with asyncio.timeout(seconds):
                async for text in stream:
                    event, data, *end = text.split("\n")
                    assert end == ["", ""]
                    found.append((event.removeprefix("event: "), json.loads(data[6:])))
        except TimeoutError:
            pass
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        return found

    return asyncio.run(gather())


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="needs Python 3.11")
def test_events_bring_every_part_once_and_again_only_when_it_changes(
    pretend: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.05)
    monkeypatch.setattr("agentos.web.run_parts._FRESH_S", 0.0)
    run = pretend()
    run.round()
    page = LivePage(tmp_path / "runs", TOKENS)
    names = [name for name, _ in events_of(page, "run", 1.5)]
    assert sorted(names) == ["agents", "alarms", "curves", "edges", "head", "log", "society"]
    run.round()
    again = [name for name, _ in events_of(page, "run", 1.5)]
    assert sorted(again) == sorted(names), "a page that is opened later gets everything"


def test_run_that_is_not_there_is_not_found(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "report.html").write_text("secret")
    for id in ("nothing", "../secret", "%2e%2e/secret", "", "/etc", "..%2fsecret"):
        for what in ("events", "report"):
            answer = client.get(f"/api/{what}/{id}")
            assert answer.status_code == 404, id
            assert "secret" not in answer.text
        for what in ("stop", "remove"):
            assert client.post(f"/api/{what}/{id}", headers=CHANGE).status_code == 404, id
    for path in ("/static/../access.py", "/static/%2e%2e/access.py"):
        assert client.get(path).status_code == 404


def test_running_run_is_not_removed_and_ended_one_not_stopped(
    client: TestClient, pretend: Callable[..., Any]
) -> None:
    run = pretend()
    run.round()
    removed = client.post("/api/remove/run", headers=CHANGE)
    assert removed.status_code == 409
    assert "in use" in removed.json()["error"]
    assert (run.directory / "config.yaml").exists()
    run.__exit__()
    stopped = client.post("/api/stop/run", headers=CHANGE)
    assert stopped.status_code == 409
    assert "nothing runs" in stopped.json()["error"]


def test_stop_signals_the_process_of_the_run(
    client: TestClient, pretend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend().round()
    signals: list[tuple[int, int]] = []
    real = os.kill
    monkeypatch.setattr(
        os, "kill", lambda pid, number: signals.append((pid, number)) if number else real(pid, 0)
    )
    answer = client.post("/api/stop/run", headers=CHANGE)
    assert answer.json() == {"done": f"process {os.getpid()} was asked to end"}
    assert signals == [(os.getpid(), 15)]


def test_report_of_a_stranger_runs_in_a_sandbox(
    client: TestClient, pretend: Callable[..., Any], tmp_path: Path
) -> None:
    run = pretend()
    run.round()
    assert client.get("/api/report/run").status_code == 404
    (run.directory / "report.html").write_text("<script>fetch('/api/remove/run')</script>")
    answer = client.get("/api/report/run")
    assert answer.status_code == 200
    assert answer.headers.get_list("content-security-policy") == ["sandbox allow-scripts"]
    (run.directory / "report.html").unlink()
    (tmp_path / "secret").write_text("secret")
    (run.directory / "report.html").symlink_to(tmp_path / "secret")
    assert client.get("/api/report/run").status_code == 404


def test_few_runs_are_kept_in_memory(
    pretend: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCHED", 2)
    for name in "abc":
        pretend(name)
    page = LivePage(tmp_path / "runs", TOKENS)
    first = page._watch("a")
    assert isinstance(first, RunParts)
    assert page._watch("a") is first
    for name in "bc":
        page._watch(name)
    assert len(page._watched) == 2
    assert page._watch("a") is not first
