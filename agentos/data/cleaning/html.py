"""Detection and stripping of HTML.

Only the elements of HTML count as tags: ``List<T>``, ``<class 'int'>`` and ``<jo@example.org>`` stay.
Parsers of whole pages (lxml, selectolax, Beautiful Soup) drop these as unknown elements, which is why
the text is taken from the events of the standard library's parser.
"""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body br caption center dd details div dl dt fieldset "
        "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option "
        "p pre section summary table tbody td tfoot th thead title tr ul",
    )
)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr acronym b base bdi bdo big button canvas cite code col colgroup data del dfn em embed "
        "font i iframe img input ins kbd label link map mark meta meter noscript object output param "
        "picture progress q s samp select small source span strike strong sub sup svg textarea time "
        "tt u var video wbr",
    )
)
_DROPPED = frozenset(("head", "script", "style", "template"))
_KNOWN = _BLOCKS | _INLINE | _DROPPED
_PAGE = re.compile(r"\s*(?:<\?xml[^<>]*>\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)(?:\s[^<>]*)?/?>")
# Signs that a text only mentions tags: Python prompts and quoted code.
_QUOTED = re.compile(r">>> |[`\"']</?[a-zA-Z]")
_NEVER_CLOSED = re.compile(r"<[a-zA-Z/!?](?=([^<>]*))\1(?!>)")
_ANY_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)\b[^<>]*>|<[!?][^<>]*>")
# Python refuses to convert thousands of digits.
_ZEROS = re.compile(r"&#0+(?=\d)")
_LONG_REFERENCE = re.compile(r"&#\d{8,};?")
MAX_WORK = 100_000_000
"""Characters that may be searched for the ends of constructs without one: a few seconds."""

MIN_PAIRS = 2
MIN_SHARE = 0.02


def looks_like_html(text: str) -> bool:
    """Return whether a text is HTML, rather than text that mentions tags.

    It is HTML if it begins like a page; or if it quotes no code, has at least two elements that are
    opened and closed, and consists of tags to at least 2 %.

    Example:
        >>> looks_like_html("<p>A <b>bold</b> word.</p>")
        True
        >>> looks_like_html("Returns <class 'int'>, or a List<T>.")
        False
    """
    if "<" not in text:
        return False
    if _PAGE.match(text):
        return True
    opened: Counter[str] = Counter()
    pairs = characters = 0
    previous = ("", 0)
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if name not in _KNOWN:
            continue
        characters += len(tag[0])
        if not tag[1]:
            opened[name] += 1
        elif opened[name]:
            opened[name] -= 1
            pairs += previous != (name, tag.start())  # "<td></td>" mentions an element
        previous = ("" if tag[1] else name, tag.end())
    enough = pairs >= MIN_PAIRS and characters >= MIN_SHARE * len(text)
    return enough and not _QUOTED.search(text)


def strip_html(text: str) -> str:
    """Return the text of HTML: without tags, comments, scripts and styles, entities as characters.

    The parser searches the rest of the text for the end of every construct that is never closed. Beyond
    `MAX_WORK` characters searched, and where it gives up, only what `_strip_roughly` finds is stripped.

    Example:
        >>> strip_html("<p>One &amp; <b>two</b><br>List<T> three<script>x</script></p>").split("\\n")
        ['', 'One & two', 'List<T> three', '']
    """
    if "<" not in text and "&" not in text:
        return text
    text = _LONG_REFERENCE.sub("\ufffd", _ZEROS.sub("&#", text))
    if _unclosed(text) * len(text) > MAX_WORK:
        return _strip_roughly(text)
    parser = _TextOnly()
    try:
        parser.feed(text)
        parser.close()
    except AssertionError:  # a marked section of an unknown kind, such as <![x]>
        return _strip_roughly(text)
    return "".join(parser.parts)


def _unclosed(text: str) -> int:
    """Return how many constructs have no end, or none before the next begins; an estimate, in linear time."""
    comments = text.count("<!--", text.rfind("-->") + 1)
    sections = text.count("<![", text.rfind("]") + 1)
    return comments + sections + sum(1 for _ in _NEVER_CLOSED.finditer(text))


def _strip_roughly(text: str) -> str:
    """Strip tags that are closed before the next begins, scripts, and entities, in linear time."""
    for name in ("script", "style"):
        text = _without_element(text, name)
    return unescape(_ANY_TAG.sub(_replacement, text))


def _without_element(text: str, name: str) -> str:
    lower, kept, place = text.lower(), list[str](), 0
    if len(lower) != len(text):  # places would differ
        return text
    while (start := lower.find(f"<{name}", place)) >= 0:
        end = lower.find(f"</{name}", start)
        if end < 0:
            break
        kept.append(text[place:start])
        place = end
    return "".join((*kept, text[place:]))


def _replacement(tag: re.Match[str]) -> str:
    name = (tag[1] or "").lower()
    return "\n" if name in _BLOCKS else "" if name in _KNOWN or not name else tag[0]


class _TextOnly(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropping: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _DROPPED:
            self._dropping.append(tag)
        self._tag(tag, self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self._tag(tag, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        # A head that is never closed ends where the body begins.
        if self._dropping and tag in (self._dropping[-1], "html", "body"):
            self._dropping.pop()
        self._tag(tag, f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.parts.append(data)

    def _tag(self, tag: str, written: str) -> None:
        if tag == "body":
            self._dropping.clear()
        if not self._dropping:
            self.parts.append("\n" if tag in _BLOCKS else written if tag not in _KNOWN else "")
