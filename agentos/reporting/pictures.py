"""Matplotlib figures as files, and as elements of a page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentos.data.printable_text import printable
from agentos.records.atomic_files import writing
from protocols.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "agentos"}
_PAGE: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.15}
"""The page is as large as the drawing, including titles and legends outside the axes."""


def save(figure: Figure, path: str | Path) -> None:
    """Write a picture as PNG, SVG or PDF, by the suffix of the path; missing folders are created.

    The same picture gives the same bytes: no date is written.

    Raises:
        ConfigurationError: the suffix is not one of these.
        RecordError: the file cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(
            f"cannot draw into {path.name}",
            expected=f"a file name that ends in {', '.join(SUFFIXES)}",
            actual=path.suffix or "no suffix",
            hint="change the file name",
        )
    _clean(figure)
    undated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    with writing(path), rc_context(_STYLE):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=suffix[1:], dpi=200, metadata=undated, **_PAGE)


def to_svg(figure: Figure) -> str:
    """Return a picture as an ``<svg>`` element to put into a page: as wide as its container.

    Example:
        >>> from matplotlib.figure import Figure
        >>> to_svg(Figure())[:4]
        '<svg'
    """
    from matplotlib import rc_context

    _clean(figure)
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="none", **_PAGE)
    text = buffer.getvalue()
    element = text[text.index("<svg") :].rstrip()
    head, rest = element.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    # Matplotlib's style sheet names every element, and would reach the whole page.
    rest = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", rest, flags=re.DOTALL)
    style = "stroke-linejoin: round; stroke-linecap: butt"
    return f'{head} width="100%" role="img" style="{style}">{rest}'


def _clean(figure: Figure) -> None:
    """Write out what XML refuses and no font shows, in every text of a picture."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        shown = printable(text.get_text())
        if shown != text.get_text():
            text.set_text(shown)
