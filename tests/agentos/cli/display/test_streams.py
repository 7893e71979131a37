"""Standard streams without a reader, without room, or without the characters of a table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = ("bash", sys.executable, "-m", "agentos.cli")
COMMANDS = (["list"], ["validate", "quickstart"], ["show", "quickstart"], ["schema"], ["--help"])
needs_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no device here is always full"
)


def call(arguments: list[str], redirection: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Call the command line in a shell, which redirects its streams."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', *COMMAND, *arguments],
        env={**os.environ, "COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_command_succeeds_without_a_reader(arguments: list[str]) -> None:
    done = call(arguments, "| true")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", ["| head -c 1", ">&-", "2>&- | true"])
def test_list_succeeds_with_closed_streams(redirection: str) -> None:
    done = call(["list"], redirection)
    assert (done.returncode, done.stderr) == (0, "")


@needs_full_device
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_full_device_fails_a_command_with_one_message(arguments: list[str]) -> None:
    done = call(arguments, "> /dev/full")
    assert done.returncode == 1
    assert "the output is incomplete: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@needs_full_device
def test_error_that_cannot_be_printed_keeps_its_exit_code() -> None:
    assert call(["validate", "nope.yaml"], "2> /dev/full").returncode == 2


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_narrow_encoding_gets_plain_characters(encoding: str) -> None:
    code = (
        "from agentos.cli.display.streams import forgiving_streams\n"
        "with forgiving_streams(): print('███ accuracy ↑ 漢')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("### accuracy ^ ?\n", "")
