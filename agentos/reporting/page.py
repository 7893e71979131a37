"""Pages that open offline: one HTML file with its style, its script and Plotly inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentos.records.atomic_files import replacing
from agentos.reporting.charts.plotting import Chart


def write_page(path: Path, template: str, charts: Sequence[Chart], **context: Any) -> Path:
    """Render a template beside this file into one self-contained page.

    Everything is escaped: names and configurations come from users. A content security policy
    forbids every request, and every script but the page's own two, which it knows by their hashes.

    Args:
        path: where the page is written.
        template: its file name.
        charts: what its script draws, by the ids of elements in the template.
        context: what the template shows.

    Raises:
        RecordError: the page cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = csp_hash
    figures = {chart.id: chart.figure for chart in charts}
    html = environment.get_template(template).render(
        plotly=get_plotlyjs() if charts else "", figures=figures, **context
    )
    with replacing(path) as draft:
        draft.write_text(html, encoding="utf-8", newline="\n")
    return path


def csp_hash(script: str) -> str:
    """Return the source expression that lets a browser run exactly this inline script.

    Example:
        >>> csp_hash("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    digest = hashlib.sha256(str(script).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def data_uri(svg: str) -> str:
    """Return an SVG picture as an address for ``<img>``, where no script of its own could run."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
