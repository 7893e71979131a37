from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.benchmarks import startup


def test_table_holds_every_command_and_its_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {"Ray started": 4.0, "hosts built": 5.0, "all": 9.0, "whole": 14.0}
    monkeypatch.setattr(startup, "timed", lambda arguments, environment: 0.25)
    monkeypatch.setattr(startup, "ready_in", lambda environment, folder: seconds)
    startup.main(repeats=3, out=tmp_path / "startup.md", ready=None)
    text = (tmp_path / "startup.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert "| `agentos --help` | 0.25 s | 0.25 s | 0.3 s |" in text
    assert f"| {startup.READY} | 9.00 s | 9.00 s | 10 s |" in text
    assert "| of it: Ray started | 4.00 s | 4.00 s |  |" in text
    assert f"| {startup.TOGETHER} | 14.00 s | 14.00 s |  |" in text


def test_commands_run_in_processes_of_their_own() -> None:
    assert 0.0 < startup.timed(("-c", "pass"), dict(os.environ)) < 30.0
