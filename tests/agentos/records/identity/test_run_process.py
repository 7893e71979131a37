"""Which process runs in a folder: what a killed one or a stranger leaves there is not believed."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentos.records.identity import run_process
from agentos.records.identity.folder_lock import FolderLock, Holder
from agentos.records.layout import LOCK, LOCK_HOLDER
from protocols.errors import RecordError

HOLD = """
import sys
from pathlib import Path
from agentos.records.identity.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def name_holder(folder: Path, process: int, host: str = "") -> None:
    (folder / LOCK).touch()
    holder = {"process": process, "host": host or platform.node()}
    (folder / LOCK_HOLDER).write_text(json.dumps(holder), "utf-8")


def test_process_that_holds_the_lock_is_found_and_asked_to_end(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    assert run_process.running_in(tmp_path) == Holder(other.pid, platform.node())
    assert run_process.stop(tmp_path).process == other.pid
    assert other.wait(timeout=60) == -signal.SIGTERM
    assert run_process.running_in(tmp_path) is None


def test_lock_itself_counts_where_open_files_cannot_be_seen(
    tmp_path: Path, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_process, "_OPEN_FILES", "/nowhere/{}")
    assert run_process.running_in(tmp_path) is not None
    with pytest.raises(RecordError, match="cannot be stopped from here"):
        run_process.stop(tmp_path)
    other.kill()
    other.communicate()
    name_holder(tmp_path, os.getpid())
    assert run_process.running_in(tmp_path) is None


def test_process_of_another_host_counts_while_the_lock_is_taken(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    name_holder(tmp_path, 7, "elsewhere")
    assert run_process.running_in(tmp_path) == Holder(7, "elsewhere")
    with pytest.raises(RecordError, match="on another host"):
        run_process.stop(tmp_path)
    other.kill()
    other.communicate()
    assert run_process.running_in(tmp_path) is None


def test_own_lock_counts_until_it_is_released(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert run_process.running_in(tmp_path) is None
    lock.acquire()
    assert run_process.running_in(tmp_path) == Holder(os.getpid(), platform.node())
    lock.release()
    assert run_process.running_in(tmp_path) is None


def test_process_that_a_stranger_names_is_not_stopped(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        name_holder(tmp_path, bystander.pid)
        with pytest.raises(RecordError, match="nothing runs"):
            run_process.stop(tmp_path)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


@pytest.mark.parametrize("process", [10**12, -1, 0])
def test_number_that_is_no_process_is_not_believed(tmp_path: Path, process: int) -> None:
    name_holder(tmp_path, process)
    assert run_process.running_in(tmp_path) is None
