from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentos.data.store.cache import atomic_folder, cached, default_cache, discard
from protocols.errors import DataError


def write(folder: Path, content: str = "content") -> None:
    (folder / "file").write_text(content)


def read(folder: Path) -> str:
    content = (folder / "file").read_text()
    if content == "damaged":
        raise DataError("damaged")
    return content


def test_folder_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        write(folder)

    place = tmp_path / "deep" / "place"
    assert [cached(place, build, read) for _ in range(3)] == ["content"] * 3
    assert len(built) == 1


def test_of_several_that_want_a_folder_one_builds_it(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        time.sleep(0.05)
        write(folder)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached(tmp_path / "place", build, read), range(4)))
    assert (found, len(built)) == (["content"] * 4, 1)


@pytest.mark.parametrize("damage", ["damaged", None])
def test_damaged_folder_is_built_again(
    tmp_path: Path, damage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    if damage:
        write(place, damage)
    assert cached(place, write, read) == "content"
    assert "rebuilding the damaged cache folder" in caplog.text
    assert list(tmp_path.glob("[!.]*")) == [place]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("bad"), RuntimeError])
def test_interrupted_build_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def build(folder: Path) -> None:
        write(folder)
        raise error

    with pytest.raises(BaseException):
        cached(tmp_path / "place", build, read)
    assert list(tmp_path.glob("[!.]*")) == []


def test_lock_lies_beside_the_folder_and_nothing_in_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    cached(tmp_path / "cache" / "place", write, read)
    assert list(temporary.iterdir()) == []
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"place", ".place.lock"}


def test_folder_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with atomic_folder(place) as mine:
        write(mine, "mine")
        with atomic_folder(place) as theirs:
            write(theirs, "theirs")
    assert read(place) == "theirs"
    assert list(tmp_path.iterdir()) == [place]


KILLED = """
import os, sys
from pathlib import Path
from agentos.data.store.cache import cached
def build(folder):
    (folder / "half").write_text("half of it")
    print("building", flush=True)
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), 9)
    sys.stdin.read()
cached(Path(sys.argv[1]), build, lambda folder: None)
"""


def builder(place: Path, end: str) -> subprocess.Popen[bytes]:
    """Start a process that builds a folder, and wait until it is half done."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place), end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("name", ["place", "neighbour"])
def test_folder_of_a_killed_build_is_removed_by_the_next_build(tmp_path: Path, name: str) -> None:
    with builder(tmp_path / name, "dies") as process:
        process.wait()
    assert len(list(tmp_path.glob(f".{name}-*"))) == 1
    cached(tmp_path / "place", write, read)
    assert list(tmp_path.glob(f".{name}-*")) == []


def test_folder_of_a_build_under_way_stays(tmp_path: Path) -> None:
    with builder(tmp_path / "neighbour", "waits") as process:
        cached(tmp_path / "place", write, read)
        process.communicate(b"")
    assert process.returncode == 0
    assert (tmp_path / "neighbour" / "half").is_file()


def test_build_within_a_build_leaves_the_outer_folder(tmp_path: Path) -> None:
    def outer(folder: Path) -> None:
        write(folder)
        cached(tmp_path / "inner", write, read)

    assert cached(tmp_path / "outer", outer, read) == "content"


def test_entry_has_the_permissions_of_any_new_folder(tmp_path: Path) -> None:
    cached(tmp_path / "place", write, read)
    (tmp_path / "ordinary").mkdir()
    assert (tmp_path / "place").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="another user is simulated with POSIX permissions")
@pytest.mark.parametrize("what", ["place", "place/file"])
def test_entry_of_another_user_is_refused_with_a_hint(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path / "place", write, read)
    hidden = str(tmp_path / what)
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != hidden)
    with pytest.raises(DataError, match="cannot be used") as caught:
        cached(tmp_path / "place", write, read)
    assert caught.value.actual == "Permission denied"
    assert "AGENTOS_CACHE" in str(caught.value.hint)
    assert (tmp_path / "place" / "file").is_file()


def test_full_disk_is_an_error_of_the_cache(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match="cannot be used") as caught:
        cached(tmp_path / "place", build, read)
    assert caught.value.actual == "No space left on device"


def test_discarding_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    discard(tmp_path / "place")
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be used") as caught:
        cached(tmp_path / "file" / "place", write, read)
    assert "AGENTOS_CACHE" in str(caught.value.hint)


def test_cache_lies_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("AGENTOS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "agentos"


@pytest.mark.parametrize("damage", [b"contenu", b"content ", None])
def test_file_that_differs_from_what_was_built_is_built_again(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "place"
    assert cached(place, write, read) == "content"
    if damage is None:
        (place / "digests.json").write_text("[]")
    else:
        (place / "file").write_bytes(damage)
    assert cached(place, write, read) == "content"
    assert "rebuilding the damaged cache folder" in caplog.text
