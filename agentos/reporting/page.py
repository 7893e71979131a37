"""Self-contained pages: one HTML file with its style, its script and Plotly, that opens offline.

Plotly comes as its cartesian bundle, a third of the whole, compressed: the page unpacks it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agentos.records.atomic_files import replacing
from agentos.reporting.charts.plotting import Chart

TEMPLATES = Path(__file__).parent / "templates"
BUNDLE = TEMPLATES / "plotly-cartesian-3.7.0.min.js.gz"


class Packed(NamedTuple):
    """A script as gzip in base 64, and the source expression that allows it once unpacked."""

    packed: str
    digest: str


def write_page(path: Path, template: str, charts: Sequence[Chart], **context: Any) -> Path:
    """Render a template of this package into one page.

    Everything is escaped: names and configurations come from users. A content security policy
    forbids every request, and every script except the page's own two, which it lists by their hashes.

    Args:
        path: the page.
        template: file name of its template.
        charts: the charts that its script draws, each into the element with its id.
        context: values for the template.

    Raises:
        RecordError: the page cannot be written.
    """
    figures = {
        chart.id: {"data": chart.traces, "layout": chart.layout, "agents": chart.agents}
        for chart in charts
    }
    page = _templates().get_template(template)
    html = page.render(plotly=_plotly() if charts else None, figures=figures, **context)
    with replacing(path) as draft:
        draft.write_text(html, encoding="utf-8", newline="\n")
    return path


@lru_cache(maxsize=1)
def _templates() -> Environment:
    """Return the templates; compiling them, at their first use, takes a third of a small report's time."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = csp_hash
    return environment


@lru_cache(maxsize=1)
def _plotly() -> Packed:
    packed = BUNDLE.read_bytes()
    code = gzip.decompress(packed).decode()
    return Packed(base64.b64encode(packed).decode(), csp_hash(code))


def csp_hash(script: str) -> str:
    """Return the source expression that lets a browser run exactly this inline script.

    Example:
        >>> csp_hash("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    digest = hashlib.sha256(str(script).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def data_uri(svg: str) -> str:
    """Return an SVG picture as an address for ``<img>``, in which its scripts cannot run."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
