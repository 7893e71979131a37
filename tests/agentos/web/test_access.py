"""Access to the page, and that no other page can change anything through a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from agentos.web.access import HEADERS, Secrets
from agentos.web.application import application

TOKENS = Secrets(access="access-token", csrf="csrf-token")
CHANGE = {"X-AgentOS-Token": "csrf-token"}


@pytest.fixture
def stranger(tmp_path: Path) -> TestClient:
    """A browser that has not been given the address with the token."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    return TestClient(application(tmp_path / "runs", TOKENS, 8765), follow_redirects=False)


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    assert stranger.get("/?token=access-token").status_code == 303
    return stranger


@pytest.mark.parametrize(
    "path", ["/", "/api/runs", "/static/main.js", "/style.css", "/?token=other", "/?token=", "/%00"]
)
def test_nothing_is_answered_without_the_token(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "Open the address" in answer.text
    assert "csrf-token" not in answer.text


def test_token_becomes_a_cookie_of_this_port_and_leaves_the_address(stranger: TestClient) -> None:
    answer = stranger.get("/?token=access-token")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("agentos-8765=access-token")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200


def test_cookie_of_another_server_is_refused(stranger: TestClient) -> None:
    for cookie in ("agentos-8765=other", "agentos-1=access-token", "agentos-8765", "\xff=;;=", ""):
        headers = {"cookie": cookie.encode("latin-1")}
        assert stranger.get("/api/runs", headers=headers).status_code == 403, cookie  # type: ignore[arg-type]


def test_changes_need_the_token_of_the_page(
    client: TestClient, pretend: Callable[..., Any], tmp_path: Path
) -> None:
    run = pretend()
    run.round()
    run.__exit__()
    for headers in ({}, {"X-AgentOS-Token": "access-token"}, {"X-AgentOS-Token": ""}):
        answer = client.post("/api/remove/run", headers=headers)
        assert answer.status_code == 403, headers
    assert client.get("/api/remove/run", headers=CHANGE).status_code == 405
    assert run.directory.exists()
    assert client.post("/api/remove/run", headers=CHANGE).json() == {"done": "removed"}
    assert not run.directory.exists()


def test_page_holds_the_token_for_changes_and_every_answer_the_policy(client: TestClient) -> None:
    answers = [
        client.get(path) for path in ("/", "/style.css", "/static/main.js", "/api/runs", "/no")
    ]
    assert 'content="csrf-token"' in answers[0].text
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (answer.url, name)
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_page_runs_no_code_but_its_own_files(client: TestClient) -> None:
    import re

    text = client.get("/").text
    assert re.findall(r"<script[^>]*>", text) == ['<script type="module" src="/static/main.js">']
    assert not re.findall(r"\son\w+=|style=|<style|https?://", text)
    for address in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert client.get(address).status_code == 200, address


def test_tokens_of_servers_differ() -> None:
    first, second = Secrets(), Secrets()
    assert len({first.access, first.csrf, second.access, second.csrf}) == 4
    assert min(map(len, (first.access, first.csrf))) >= 32
