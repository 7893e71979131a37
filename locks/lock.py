"""Write the lists of files that `make` installs, with the hash of each.

    .venv/bin/python locks/lock.py

`run.txt` holds what AgentOS needs to run, `test.txt` what its tests need as well: the releases that
constraints.txt pins, and the SHA-256 of each of their files for the platforms that torch and Ray have wheels
for. torch is in neither: its builds for different accelerators share a release, but no file. Run this after
constraints.txt has changed, in an environment made by ``pip install -c constraints.txt -e '.[test]'``: what
each distribution requires is read there, and the hashes come from the package index. Python 3.11 or later.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from urllib.request import Request, urlopen

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = "llm-agentos"
APART = {PROJECT, "torch"}
BUILDS = {"setuptools"}
"""Packages that an editable installation is built with."""
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)")
INTERPRETERS = {"py3", "py2", "cp310", "cp311", "cp312", "cp313"}
OTHER_PLATFORM = re.compile(
    r"musllinux|i686|ppc64|s390x|riscv|armv|win32|win_arm64|wasm|android|ios_"
)
SIMPLE = "application/vnd.pypi.simple.v1+json"


def requirements(name: str, extras: frozenset[str]) -> list[Requirement]:
    """Return what a distribution requires with some extras, on any platform and by any Python."""
    if name == PROJECT:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        optional = project["optional-dependencies"]
        lines = [*project["dependencies"], *(line for each in extras for line in optional[each])]
        return [Requirement(line) for line in lines]
    try:
        found = [Requirement(line) for line in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:  # needed on another platform, or by another Python
        return []
    wanted = [f'extra == "{extra}"' for extra in extras]
    return [
        each
        for each in found
        if "extra ==" not in str(each.marker) or any(extra in str(each.marker) for extra in wanted)
    ]


def needed(*extras: str) -> set[str]:
    """Return the names of all distributions that the project needs with some extras."""
    left = [(PROJECT, frozenset(extras)), *((name, frozenset[str]()) for name in BUILDS)]
    found = set(left)
    while left:
        for each in requirements(*left.pop()):
            place = canonicalize_name(each.name), frozenset(each.extras)
            if place not in found:
                found.add(place)
                left.append(place)
    return {name for name, _ in found} - APART


def hashes(index: str, name: str, version: str) -> list[str]:
    """Return the SHA-256 of each file of a release, for the platforms of this project."""
    url = f"{index.rstrip('/')}/{canonicalize_name(name)}/"
    with urlopen(Request(url, headers={"Accept": SIMPLE}), timeout=60) as answer:
        files = json.load(answer)["files"]
    wanted = Version(version)
    return sorted(
        each["hashes"]["sha256"] for each in files if may_be_installed(each["filename"], wanted)
    )


def may_be_installed(filename: str, version: Version) -> bool:
    """Return whether a file is a source distribution of a release, or a wheel for one of the Pythons."""
    try:
        if not filename.endswith(".whl"):
            return parse_sdist_filename(filename)[1] == version
        _, found, _, tags = parse_wheel_filename(filename)
    except ValueError:  # old releases have names of all kinds
        return False
    return found == version and any(
        (tag.interpreter in INTERPRETERS or tag.abi == "abi3")
        and not tag.abi.endswith("t")
        and not OTHER_PLATFORM.search(tag.platform)
        for tag in tags
    )


def main() -> None:
    """Write both lists."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--index", default="https://pypi.org/simple", help="A simple index.")
    index = parser.parse_args().index
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [(match, line) for line in lines if (match := PIN.match(line))]
    lists = {"run": needed(), "test": needed("test")}
    wanted = [pin for pin in pins if canonicalize_name(pin[0]["name"]) in lists["test"]]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda pin: hashes(index, pin[0]["name"], pin[0]["version"]), wanted))
    for name, members in lists.items():
        entries = [
            " \\\n    ".join([line, *(f"--hash=sha256:{each}" for each in digests)])
            for (match, line), digests in zip(wanted, found, strict=True)
            if canonicalize_name(match["name"]) in members
        ]
        text = "# Written by lock.py from constraints.txt.\n" + "\n".join(entries) + "\n"
        (ROOT / "locks" / f"{name}.txt").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}.txt: {len(entries)} releases\n")


if __name__ == "__main__":
    main()
