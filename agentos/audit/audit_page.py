"""The page of an audit: each part as a table, how to read it, and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentos.audit.audit_sections import Section
from agentos.reporting.page import write_page


def write_audit(path: Path, name: str, shown: str, parts: Sequence[Section]) -> Path:
    """Write the parts of an audit as one HTML page that opens offline; return its path.

    Args:
        path: the page.
        name: name of the run.
        shown: what its messages are computed from.
        parts: the parts.

    Raises:
        RecordError: the page cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    charts = [part.chart for part in parts if part.chart is not None]
    return write_page(path, "audit.html.j2", charts=charts, name=name, shown=shown, parts=parts)
