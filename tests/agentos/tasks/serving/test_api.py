"""Requests to a society, without Ray: what is answered, and what is refused with which status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from agentos.tasks.config import Task
from agentos.tasks.serving.api import build_api
from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.service_metrics import ServiceMetrics
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply
from protocols.errors import HostLost

SOURCE = {"kind": "jsonl", "path": "x", "label": "label"}


def society(bench: Any, **fields: Any) -> FittedSociety:
    task = {"kind": "classify", "source": SOURCE, **fields}
    config = Task.model_validate({"library": {"models": ["somewhere"]}, "task": task})
    return FittedSociety.fitted(config, bench.panel.members, ["a", "b", "c"], bench.evidence)


async def echo(items: Sequence[tuple[str, ...]]) -> list[Reply]:
    return [Reply("/".join(item), 0.5, ("model-0",), 2.0, 3.0) for item in items]


@pytest.fixture
def client(bench: Any) -> Callable[..., TestClient]:
    def make(
        answering: Any = echo, task: dict[str, Any] | None = None, **config: Any
    ) -> TestClient:
        async def healthy() -> dict[str, str]:
            return make.problems  # type: ignore[attr-defined,no-any-return]

        make.metrics = ServiceMetrics()  # type: ignore[attr-defined]
        api = build_api(
            society(bench, **(task or {})),
            ServeConfig(**config),
            answering,
            healthy,
            make.metrics,  # type: ignore[attr-defined]
        )
        return TestClient(api, raise_server_exceptions=False)

    make.problems = {}  # type: ignore[attr-defined]
    return make


def test_texts_are_answered_in_their_order(client: Callable[..., TestClient]) -> None:
    found = client().post("/answer", json={"texts": ["one", "two"]})
    assert found.status_code == 200
    replies = found.json()["replies"]
    assert [reply["label"] for reply in replies] == ["one", "two"]
    assert replies[0] == {
        "label": "one",
        "probability": 0.5,
        "asked": ["model-0"],
        "flops": 2.0,
        "payload_bytes": 3.0,
        "said": [],
    }


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 422, "body"),
        (b"{", 422, "JSON"),
        (b"[]", 422, "body"),
        (b'{"texts": []}', 422, "at least 1"),
        (b'{"texts": "a"}', 422, "list"),
        (b'{"texts": [1]}', 422, "string"),
        (b'{"texts": [null]}', 422, "string"),
        (b'{"texts": ["a"], "model": "x"}', 422, "model"),
        (b'{"text": "a"}', 422, "texts"),
        (b'{"texts": ["\\ud800"]}', 422, "text 0"),
        (b'{"texts": ["\xff"]}', 400, "body"),
        (b'{"texts": [' + b"9" * 5000 + b"]}", 422, "texts"),
        (b'{"texts": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422, "texts"),
        (b'{"texts": [NaN]}', 422, "texts.0"),
        (json.dumps({"texts": ["a"] * 9}).encode(), 413, "too many texts"),
        (json.dumps({"texts": ["a" * 20_000]}).encode(), 413, "bytes"),
    ],
)
def test_wrong_requests_are_refused_and_not_repeated(
    client: Callable[..., TestClient], body: bytes, status: int, named: str
) -> None:
    asked = client(max_texts=8, max_body_bytes=16_000)
    found = asked.post("/answer", content=body, headers={"content-type": "application/json"})
    assert found.status_code in (status, 400), found.text
    assert len(found.text) < 1000
    if found.status_code == status:
        assert named in found.json()["detail"]


def test_bodies_that_are_no_json_are_refused(client: Callable[..., TestClient]) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        found = client().post(
            "/answer", content=b'{"texts": ["a"]}', headers={"content-type": kind}
        )
        assert found.status_code in (400, 415, 422), kind


def test_body_is_counted_where_no_length_is_given(client: Callable[..., TestClient]) -> None:
    sent: list[int] = []

    def pieces() -> Any:
        for _ in range(1000):
            sent.append(1)
            yield b" " * 1000

    found = client(max_body_bytes=5000).post("/answer", content=pieces())
    assert found.status_code == 413


def test_slow_answers_are_given_up_at_the_deadline(client: Callable[..., TestClient]) -> None:
    over = []

    async def never(items: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            over.append(True)

    found = client(never, deadline_s=0.05).post("/answer", json={"texts": ["a"]})
    assert found.status_code == 504
    assert "0.05 s" in found.json()["detail"]
    assert over


def test_errors_have_their_status_and_tell_no_secrets(client: Callable[..., TestClient]) -> None:
    async def lost(items: Any) -> Any:
        raise HostLost("no agent is left to answer")

    async def broken(items: Any) -> Any:
        raise ZeroDivisionError("a secret")

    found = client(lost).post("/answer", json={"texts": ["a"]})
    assert (found.status_code, found.json()["detail"]) == (503, "no agent is left to answer")
    found = client(broken).post("/answer", json={"texts": ["a"]})
    assert found.status_code == 500
    assert "secret" not in found.text


def test_pairs_without_two_texts_are_refused(client: Callable[..., TestClient]) -> None:
    asked = client(task={"kind": "pair"})
    found = asked.post("/answer", json={"texts": ["a\tb"]})
    assert found.json()["replies"][0]["label"] == "a/b"
    found = asked.post("/answer", json={"texts": ["a\tb", "alone"]})
    assert found.status_code == 422
    assert "two texts" in found.json()["detail"]


def test_health_tells_what_is_wrong(client: Callable[..., TestClient]) -> None:
    asked = client()
    found = asked.get("/health")
    assert found.status_code == 200
    assert found.json()["status"] == "ok"
    assert found.json()["classes"] == ["a", "b", "c"]
    assert found.json()["agents"] == ["model-0", "model-1", "model-2"]
    client.problems["agent-1"] = "gone"  # type: ignore[attr-defined]
    found = asked.get("/health")
    assert found.status_code == 503
    assert found.json()["problems"] == {"agent-1": "gone"}


def test_metrics_count_requests_by_status(client: Callable[..., TestClient]) -> None:
    asked = client(max_texts=2)
    for texts in (["a"], ["a", "b"], ["a", "b", "c"], []):
        asked.post("/answer", json={"texts": texts})
    client.metrics.count_batch(asyncio.run(echo([("a",), ("b",)])))  # type: ignore[attr-defined]
    found = asked.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = found.text.splitlines()
    assert 'agentos_requests_total{status="200"} 2.0' in lines
    assert 'agentos_requests_total{status="413"} 1.0' in lines
    assert 'agentos_requests_total{status="422"} 1.0' in lines
    assert "agentos_request_seconds_count 4.0" in lines
    assert 'agentos_texts_asked_total{agent="model-0"} 2.0' in lines
    assert "agentos_flops_total 4.0" in lines


def test_interface_describes_itself(client: Callable[..., TestClient]) -> None:
    asked = client()
    paths = asked.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/answer", "/health", "/metrics"}
    assert asked.get("/docs").status_code == 200
