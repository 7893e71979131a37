"""Explanations in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from agentos.audit.explanation import Explanation, Neighbour
from agentos.audit.explanation.explanation_page import shares, trust
from agentos.data.printable_text import printable

_FOR = ("", "on #d7e6fb", "on #9cc3f5", "on #4f8fe0")
_AGAINST = ("", "on #fbe3cf", "on #f2b98a", "on #dd7f35")
"""Backgrounds of words that raise and lower the number, by a third of the largest contribution."""
_TOP = 5
_SHOWN = 100
"""Characters of an anchor that are shown."""


def show_explanation(console: Console, found: Explanation, near: Sequence[Neighbour]) -> None:
    """Print a text coloured by the contributions of its words, and how far to trust the colours."""
    console.print(f"{found.target}: {found.attribution.score:.3f}", style="bold", highlight=False)
    console.print(_coloured(found), soft_wrap=True)
    order = sorted(range(len(found.words.words)), key=lambda word: -abs(found.contributions[word]))
    strongest = ", ".join(
        f"{printable(found.words.spelling(word))} {found.contributions[word]:+.3f}"
        for word in order[:_TOP]
    )
    console.print(f"strongest words: {strongest}", markup=False, highlight=False, soft_wrap=True)
    console.print(trust(found), style="dim", highlight=False, soft_wrap=True)
    if near:
        console.print("nearest public anchors:", highlight=False)
    for one in near:
        line = " ".join(printable(one.text).split())[:_SHOWN]
        console.print(f"  {one.cosine:+.2f}  {line}", markup=False, highlight=False, soft_wrap=True)


def _coloured(found: Explanation) -> Text:
    """Return the text with a background behind each word that counts."""
    text, place, shown = found.words.text, 0, Text()
    for word, share in zip(found.words.words, shares(found), strict=True):
        shown.append(text[place : max(word.start, place)])
        tones = _FOR if share > 0 else _AGAINST
        style = tones[min(3, round(abs(share) * 3))]
        shown.append(text[max(word.start, place) : word.end], f"black {style}" if style else "")
        place = max(place, word.end)
    shown.append(text[place:], "dim")
    return shown
