from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentos.data.sources import docstring_worker
from agentos.data.sources import docstrings as module
from agentos.data.sources.docstrings import Docstrings
from protocols.errors import DataError

LIBRARY = {
    "__init__.py": '"""The library, which must never be imported."""\nraise RuntimeError\n',
    "b.py": '''
class Thing:
    """A thing.

        It is indented.

    This is not.
    """

    @property
    def size(self):
        "How large the thing is."

    @size.setter
    def size(self, value):
        "Make the thing another size."

    async def wait(self):
        """Wait for the thing to come."""
        def inner():
            """Found in a function, too."""

try:
    if True:
        def guarded():
            """Found under a condition."""
except ImportError:
    def fallback():
        """Found in a handler, too."""
match 1:
    case 1:
        def matched():
            """Found in a case, too."""
short = lambda: 1
def brief():
    """Too short."""
''',
    "a/deep.py": '"""A module in a folder, read before its sibling."""\n',
    "broken.py": '"""This file does not parse."""\ndef (:\n',
    "null.py": '"""This file holds a null byte."""\n\0',
    "latin.py": b'# -*- coding: latin-1 -*-\n"""Written in a caf\xe9 long ago."""\n',
    "tests/test_it.py": '"""A test is not prose, it is left out."""\n',
    "test_other.py": '"""A test is not prose, it is left out."""\n',
    "vendor/other.py": '"""Not the text of this library."""\n',
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "made_library"
    for name, content in LIBRARY.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


SOURCE = Docstrings(packages=("made_library",), minimum_words=3)
EXPECTED = {
    "__init__.py:<module>": "The library, which must never be imported.",
    "a/deep.py:<module>": "A module in a folder, read before its sibling.",
    "b.py:Thing": "A thing.\n\n    It is indented.\n\nThis is not.",
    "b.py:Thing.size": "How large the thing is.",
    "b.py:Thing.size#2": "Make the thing another size.",
    "b.py:Thing.wait": "Wait for the thing to come.",
    "b.py:Thing.wait.inner": "Found in a function, too.",
    "b.py:guarded": "Found under a condition.",
    "b.py:fallback": "Found in a handler, too.",
    "b.py:matched": "Found in a case, too.",
    "latin.py:<module>": "Written in a café long ago.",
}


@pytest.mark.usefixtures("library")
def test_docstrings_are_found_wherever_they_are_and_in_order() -> None:
    documents = list(SOURCE.documents())
    found = {document.id.removeprefix("made_library:"): document.text for document in documents}
    assert found == EXPECTED
    assert list(found) == list(EXPECTED)
    assert {document.label for document in documents} == {"made_library"}


@pytest.mark.usefixtures("library")
def test_packages_are_never_imported() -> None:
    list(SOURCE.documents())
    assert "made_library" not in sys.modules


@pytest.mark.usefixtures("library")
def test_order_does_not_depend_on_the_number_of_processes_or_on_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = list(SOURCE.documents())
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    for workers in (1, 3):
        monkeypatch.setattr(module, "_worker_count", lambda workers=workers: workers)
        assert list(SOURCE.documents()) == whole


def test_parsing_stays_a_bounded_way_ahead_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []

    def parse(chunk: list[list[str]], minimum_words: int) -> dict[str, list[str]]:
        started.append(chunk)
        return {"documents": [], "unparsed": []}

    monkeypatch.setattr(module, "_parse", parse)
    monkeypatch.setattr(module, "_worker_count", lambda: 2)
    stream = module._parsed([[["x", "y"]]] * 50, 1)
    next(stream)
    assert len(started) <= 5
    stream.close()
    assert len(started) <= 5


def test_single_file_module_is_a_package_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lone_module.py").write_text('"""A library in one file."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    (document,) = Docstrings(packages=("lone_module",), minimum_words=1).documents()
    assert document.id == "lone_module:lone_module.py:<module>"


def test_missing_package_is_refused_naming_it_and_the_hint() -> None:
    source = Docstrings(packages=("json", "no_such_library"))
    for act in (source.fingerprint, lambda: list(source.documents())):
        with pytest.raises(DataError, match="'no_such_library' is not installed") as caught:
            act()
        assert "install no_such_library" in str(caught.value.hint)


def test_package_without_python_source_is_refused() -> None:
    with pytest.raises(DataError, match="has no Python source"):
        Docstrings(packages=("sys",)).fingerprint()


@pytest.mark.parametrize("packages", [("json.decoder",), ("json", "json"), ()])
def test_names_that_are_not_top_level_packages_are_refused(packages: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Docstrings(packages=packages)


def test_fingerprint_changes_when_a_file_is_added(library: Path) -> None:
    before = SOURCE.fingerprint()
    (library / "new.py").write_text("")
    assert SOURCE.fingerprint() != before


@pytest.mark.usefixtures("library")
def test_failed_process_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('it went wrong')\n")
    monkeypatch.setattr(docstring_worker, "__file__", str(script))
    with pytest.raises(DataError, match="docstring parser process failed") as caught:
        list(SOURCE.documents())
    assert caught.value.actual == "it went wrong"


def test_script_without_a_main_guard_may_read_docstrings(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from agentos.data.sources.docstrings import Docstrings\n"
        "print(sum(1 for _ in Docstrings(packages=('json',)).documents()) > 5)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == ["started", "True"]


def test_real_library_gives_much_text() -> None:
    documents = list(Docstrings(packages=("networkx",)).documents())
    assert len(documents) > 1000
    assert sum(len(document.text.split()) for document in documents) > 100_000
