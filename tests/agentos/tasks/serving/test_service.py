"""``agentos serve``: the same answers as `ask`, many at a time, a process that dies, and an end in order."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from agentos import Society

pytestmark = [pytest.mark.own_ray, pytest.mark.slow]
WORDS = "wave tide ship wheat plough barn tram market clock cloud star moon".split()  # noqa: SIM905
TEXTS = [" ".join(WORDS[start:end]) for start in range(6) for end in range(start + 1, 12, 2)]


class Served(NamedTuple):
    """A running command, and the address that it printed."""

    process: subprocess.Popen[str]
    url: str


@pytest.fixture(scope="module")
def served(solved: Path) -> Iterator[Served]:
    """One start of Ray Serve for all tests of this file."""
    command = [sys.executable, "-W", "ignore", "-m", "agentos.cli", "serve", str(solved)]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found, process.communicate(timeout=60)
            yield Served(process, found[0])
        finally:
            process.terminate()  # it ends Ray, too
            try:
                process.wait(timeout=60)
            finally:
                process.kill()


@pytest.fixture(scope="module")
def expected(solved: Path) -> list[dict[str, Any]]:
    with Society.open(solved) as society:
        replies = society.ask(TEXTS).replies
    return [
        {**reply._asdict(), "asked": list(reply.asked), "said": list(reply.said)}
        for reply in replies
    ]


def asked(url: str, texts: list[str]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{url}/answer", json.dumps({"texts": texts}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        replies: list[dict[str, Any]] = json.load(response)["replies"]
    return replies


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60) as response:
            return bool(json.load(response)["status"] == "ok")
    except urllib.error.HTTPError:
        return False


def children(served: Served) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(served.process.pid).children(recursive=True)
    return found


def readers(served: Served, agent: str) -> set[psutil.Process]:
    """The processes in which an agent reads; Ray names them."""
    return {each for each in children(served) if f"ServeReplica:{agent}" in " ".join(_name(each))}


def _name(process: psutil.Process) -> list[str]:
    try:
        name: list[str] = process.cmdline()
        return name
    except psutil.Error:
        return []


def test_answers_are_those_of_ask_to_the_bit(
    served: Served, expected: list[dict[str, Any]]
) -> None:
    assert healthy(served.url)
    assert asked(served.url, TEXTS) == expected


def test_requests_of_many_clients_get_their_own_replies(
    served: Served, expected: list[dict[str, Any]]
) -> None:
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda text: asked(served.url, [text])[0], TEXTS))
    assert [reply["label"] for reply in found] == [reply["label"] for reply in expected]
    assert [reply["probability"] for reply in found] == pytest.approx(
        [reply["probability"] for reply in expected], abs=1e-5
    )
    assert [reply["flops"] for reply in found] == [reply["flops"] for reply in expected]


def test_all_processes_listen_on_loopback_alone(served: Served) -> None:
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for each in (psutil.Process(served.process.pid), *children(served))
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1", "::1"}


def test_process_that_dies_is_replaced(served: Served, expected: list[dict[str, Any]]) -> None:
    (first,) = readers(served, "agent-0")
    first.kill()
    until = time.monotonic() + 300
    while not (readers(served, "agent-0") - {first} and healthy(served.url)):
        assert time.monotonic() < until, "it was not replaced"
        time.sleep(0.2)
    assert asked(served.url, TEXTS) == expected
    with urllib.request.urlopen(f"{served.url}/metrics", timeout=60) as response:
        assert b"agentos_texts_asked_total" in response.read()


def test_command_ends_in_order_at_a_signal(served: Served) -> None:
    alive = children(served)
    served.process.send_signal(signal.SIGTERM)
    out, err = served.process.communicate(timeout=120)
    assert served.process.returncode == 128 + signal.SIGTERM, (out, err)
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(alive, timeout=30)
    assert alive == []
