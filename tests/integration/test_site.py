"""The site of the documentation: every page is in it, and every link leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GENERATED = {"docs/reference/kinds.md", "docs/reference/python.md"}


def test_every_page_has_a_place_in_the_navigation() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in pages(part)]  # type: ignore[attr-defined]

    text = (ROOT / "docs/site/mkdocs.yml").read_text("utf-8")
    listed = pages(yaml.safe_load(text)["nav"])
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    # The list of pages is what the navigation replaces.
    expected = (
        there - {"docs/README.md"} | GENERATED | {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
    )
    assert sorted(listed) == sorted(expected)


@pytest.mark.slow
def test_the_site_builds_and_no_link_is_broken() -> None:
    command = [sys.executable, str(ROOT / "docs/site/build.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    home = (ROOT / "build/site/index.html").read_text("utf-8")
    assert "https://unpkg.com" not in home
    kinds = (ROOT / "build/site/docs/reference/kinds.html").read_text("utf-8")
    assert "ring" in kinds
    objectives = ROOT / "build/site/docs/reference/python/agents.objectives.html"
    assert "InfoNCE" in objectives.read_text("utf-8")
