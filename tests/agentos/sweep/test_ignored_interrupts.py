"""Runs of a sweep that a script started in its background: such shells let all they start ignore Ctrl-C."""

from __future__ import annotations

import _thread
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentos.sweep import worker
from agentos.sweep.node_run import run_on_node


@pytest.fixture(autouse=True)
def _ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_run_is_interrupted_where_its_input_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    class Input:
        def readline(self) -> str:
            return json.dumps(
                {"folder": str(tmp_path), "trusted": [], "config": {}, "keep_encoders": False}
            )

        def read(self) -> str:
            begun.wait()
            return ""

    def long(*_: Any, **__: Any) -> None:
        begun.set()
        for _ in range(300):
            time.sleep(0.05)

    monkeypatch.setattr(sys, "stdin", Input())
    monkeypatch.setattr(worker, "run", long)
    assert worker.main() == worker.INTERRUPTED


def test_a_task_that_is_cancelled_ends_its_run(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    stub = f"import pathlib, sys; sys.stdin.read(); pathlib.Path({str(ended)!r}).touch()"
    task = {"folder": str(tmp_path), "threads": 1}
    threading.Timer(0.5, _thread.interrupt_main).start()
    command = [sys.executable, "-I", "-S", "-c", stub]
    with pytest.raises(KeyboardInterrupt):
        run_on_node(task, str(tmp_path / "log"), worker.ROW, command)
    assert ended.exists()
