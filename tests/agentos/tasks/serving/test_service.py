"""A society that is served on Ray: the same answers as `ask`, many at a time, and a process that dies."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray

from agentos import Society
from agentos.tasks.serving import ServeConfig, Service

pytestmark = [pytest.mark.ray, pytest.mark.slow]
WORDS = "wave tide ship wheat plough barn tram market clock cloud star moon".split()  # noqa: SIM905
TEXTS = [" ".join(WORDS[start:end]) for start in range(6) for end in range(start + 1, 12, 2)]


def asked(url: str, texts: list[str]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{url}/answer", json.dumps({"texts": texts}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        replies: list[dict[str, Any]] = json.load(response)["replies"]
    return replies


@pytest.fixture(scope="module")
def service(solved: Path, ray_cluster: None) -> Iterator[Service]:
    with Service.open(solved, ServeConfig(port=0, replicas=2, num_cpus=0.5)) as running:
        yield running


@pytest.fixture(scope="module")
def expected(solved: Path) -> list[dict[str, Any]]:
    with Society.open(solved) as society:
        replies = society.ask(TEXTS).replies
    return [{**reply._asdict(), "asked": list(reply.asked)} for reply in replies]


def test_answers_are_those_of_ask_to_the_bit(
    service: Service, expected: list[dict[str, Any]]
) -> None:
    assert asked(service.url, TEXTS) == expected


def test_requests_of_many_clients_get_their_own_replies(
    service: Service, expected: list[dict[str, Any]]
) -> None:
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda text: asked(service.url, [text])[0], TEXTS))
    assert [reply["label"] for reply in found] == [reply["label"] for reply in expected]
    assert [reply["probability"] for reply in found] == pytest.approx(
        [reply["probability"] for reply in expected], abs=1e-5
    )
    assert [reply["flops"] for reply in found] == [reply["flops"] for reply in expected]


def test_process_that_dies_is_replaced(service: Service, expected: list[dict[str, Any]]) -> None:
    handle = ray.serve.get_app_handle("agent-0")
    pid = handle.process_id.remote().result(timeout_s=60)
    os.kill(pid, signal.SIGKILL)
    found = asked(service.url, TEXTS)
    assert [reply["label"] for reply in found] == [reply["label"] for reply in expected]
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=60) as response:
        assert b"agentos_texts_asked_total" in response.read()
