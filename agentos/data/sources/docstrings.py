"""Docstrings of installed libraries: real English text on every machine, labelled by library."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from agentos.data.scripts import words
from agentos.data.sources import docstring_worker
from agentos.data.sources.base import Document, Source
from agentos.data.sources.files import digest, file_digest
from protocols.errors import DataError

logger = logging.getLogger(__name__)

# Tests are not prose, and vendored code is not the library's own text.
SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "site-packages", "test", "tests", "testing", "_testing"}
    | {"third_party", "thirdparty", "thirdparty_files", "vendor", "_vendor"}
)
# About a second of parsing: much longer than a process takes to start, much shorter than the whole.
CHUNK_BYTES = 3 << 20
MAX_WORKERS = 8


class _File(NamedTuple):
    package: str
    name: str  # path inside the package, with forward slashes
    path: str
    size: int


class Docstrings(Source):
    """Docstrings of installed libraries, parsed and never imported; the library is the label.

    Example:
        >>> source = Docstrings(packages=("json",))
        >>> next(source.documents()).id
        'json:__init__.py:<module>'
    """

    kind: Literal["docstrings"] = "docstrings"
    packages: tuple[str, ...] = Field(
        default=("torch", "scipy", "sklearn", "sympy", "pandas", "ray"),
        min_length=1,
        description="Top-level names of installed packages, as they are imported.",
    )
    minimum_words: int = Field(
        default=10, ge=1, description="Docstrings of fewer words are left out."
    )

    @field_validator("packages")
    @classmethod
    def _are_top_level(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for package in packages:
            if not package.isidentifier():  # finding "a.b" would import "a"
                raise ValueError(f"{package!r} is not the name of a top-level package")
        if len(set(packages)) != len(packages):
            raise ValueError("a package is named twice")
        return packages

    def documents(self) -> Iterator[Document]:
        """Stream the docstrings, package by package and file by file.

        Files are parsed in as many processes as there are cores; the order does not depend on them.

        Raises:
            DataError: a package is not installed, or has no Python source.
        """
        files = [file for package in self.packages for file in _files(package)]
        for found in _parsed(list(_chunks(files)), self.minimum_words):
            if found["unparsed"]:
                logger.info("skipped files that do not parse: %s", ", ".join(found["unparsed"]))
            for identity, text in found["documents"]:
                if text.isascii() or len(words(text)) >= self.minimum_words:
                    yield Document(identity, text, identity.partition(":")[0])

    def glance(self) -> Iterator[Document | DataError]:
        """Check that the packages are installed; yield a stand-in for each.

        Raises:
            DataError: a package is not installed.
        """
        for package in self.packages:
            _spec(package)
        for package in self.packages:
            yield Document(package, "", package)

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the name and content of every source file."""
        files = (file for package in self.packages for file in _files(package))
        listing = (f"{f.package}/{f.name} {file_digest(Path(f.path))}" for f in files)
        # Another version of Python may parse other files.
        return digest(self.model_dump_json(), str(sys.version_info[:2]), *listing)


def _files(package: str) -> list[_File]:
    """List the Python files of a package, sorted, without importing it.

    Raises:
        DataError: the package is not installed, or has no Python source.
    """
    spec = _spec(package)
    if spec.submodule_search_locations is None:
        roots = [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []
    else:
        roots = [Path(location) for location in spec.submodule_search_locations]
    files = sorted(file for root in roots for file in _walk(package, root))
    if not files:
        raise DataError(
            f"package {package!r} has no Python source", actual=spec.origin, hint=_hint(package)
        )
    return files


def _spec(package: str) -> ModuleSpec:
    """Find a package without importing it.

    Raises:
        DataError: it is not installed.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise DataError(f"package {package!r} is not installed", hint=_hint(package))
    return spec


def _hint(package: str) -> str:
    return f"install {package}, or leave it out of data.source.packages"


def _walk(package: str, root: Path) -> Iterator[_File]:
    if root.is_file():
        yield _entry(package, root.parent, root)
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]
        for name in names:
            if name.endswith(".py") and not name.startswith("test_"):
                yield _entry(package, root, Path(folder, name))


def _entry(package: str, root: Path, path: Path) -> _File:
    name = path.relative_to(root).as_posix()
    return _File(package, name, str(path), path.stat().st_size)


def _chunks(files: list[_File]) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    total = 0
    for file in files:
        chunk.append([file.path, f"{file.package}:{file.name}"])
        total += file.size
        if total >= CHUNK_BYTES:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def _parsed(chunks: list[list[list[str]]], minimum_words: int) -> Iterator[dict[str, Any]]:
    """Parse chunks in worker processes, a bounded number ahead of the consumer; yield in order."""
    workers = _worker_count()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="docstrings")
    ahead: deque[Future[dict[str, Any]]] = deque()
    try:
        for chunk in chunks:
            ahead.append(pool.submit(_parse, chunk, minimum_words))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _parse(chunk: list[list[str]], minimum_words: int) -> dict[str, Any]:
    command = [sys.executable, "-I", "-S", str(Path(docstring_worker.__file__))]
    task = json.dumps({"files": chunk, "minimum_words": minimum_words})
    done = subprocess.run(command, input=task.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise DataError(
            "a docstring parser process failed",
            actual=done.stderr.decode(errors="replace").strip()[-500:] or f"exit {done.returncode}",
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _worker_count() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    return min(MAX_WORKERS, os.cpu_count() or 1)
