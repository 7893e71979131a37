"""The page of an audit, in a folder that is not there yet."""

from __future__ import annotations

from pathlib import Path

from agentos.audit.audit_page import write_audit
from agentos.audit.audit_sections import Section


def test_page_shows_each_part_in_a_new_folder(tmp_path: Path) -> None:
    parts = [
        Section(
            "Leaks", ["what", "together"], [["words <b>", "12 %"]], "Read so.", "Little leaks."
        ),
        Section("Bias", ["test"], [["weat"]], "Read otherwise."),
    ]
    path = write_audit(tmp_path / "a" / "b" / "audit.html", "ring", "exchanged weights", parts)
    page = path.read_text(encoding="utf-8")
    for shown in (
        "ring",
        "Exchanged weights.",
        "Leaks",
        "12 %",
        "Read so.",
        "Little leaks.",
        "weat",
    ):
        assert shown in page
    assert "words &lt;b&gt;" in page
