"""One writer at a time in a run folder."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentos.records.identity.folder_lock import alone_in
from agentos.records.recorder import Recorder
from protocols.errors import RecordError
from protocols.topologies import TOPOLOGIES

HOLD = """
import sys
from pathlib import Path
from agentos.records.recorder import Recorder
with Recorder(Path(sys.argv[1])) as recorder:
    recorder.claim()
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_writer_is_refused_with_the_first_ones_process_and_host(tmp_path: Path) -> None:
    process = hold(tmp_path / "run")
    try:
        for method in (Recorder.claim, Recorder.lock, lambda r: r.go_on({"together": -1})):
            with (
                pytest.raises(RecordError, match="is in use") as caught,
                Recorder(tmp_path / "run") as recorder,
            ):
                method(recorder)
            assert f"process {process.pid} on host {platform.node()}" in str(caught.value.actual)
    finally:
        process.communicate("")


def test_folder_of_a_killed_writer_is_free(tmp_path: Path) -> None:
    process = hold(tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Recorder(tmp_path / "run") as recorder:
        recorder.claim()


def test_lock_is_free_after_its_last_release_and_names_no_host_then(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        with alone_in(tmp_path):
            pass
        assert _refused_elsewhere(tmp_path)
        assert (tmp_path / ".lock-holder.json").exists()
    assert not _refused_elsewhere(tmp_path)
    assert not (tmp_path / ".lock-holder.json").exists()


def test_lock_is_held_until_the_recorder_is_left(tmp_path: Path) -> None:
    network = TOPOLOGIES["ring"]().build(agents=2, seed=0)
    with Recorder(tmp_path / "run") as recorder:
        recorder.start("name: small", network, ["a", "b"])
        recorder.close()  # a report is still written after the records are closed
        assert _refused_elsewhere(tmp_path / "run")
    assert not _refused_elsewhere(tmp_path / "run")


def test_holder_that_cannot_be_read_is_another_process(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        (tmp_path / ".lock-holder.json").write_text("{", encoding="utf-8")
        assert "another process" in str(_refused_elsewhere(tmp_path))


def _refused_elsewhere(folder: Path) -> RecordError | None:
    """Try to take the lock in another thread."""
    found: list[RecordError] = []

    def attempt() -> None:
        try:
            with alone_in(folder):
                pass
        except RecordError as error:
            found.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0] if found else None
