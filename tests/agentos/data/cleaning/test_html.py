from __future__ import annotations

import pytest

from agentos.data.cleaning.html import looks_like_html, strip_html

PAGE = (
    "<!DOCTYPE html><html><head><title>T</title><style>p {}</style></head><body>"
    "<h1>A &lt; B</h1><p>One<br/>two &eacute;</p><!-- no --><script>if (a<b) x()</script></body></html>"
)


@pytest.mark.parametrize(
    "text",
    [
        PAGE,
        "<p>A <b>bold</b> word.</p>",
        "<div class='a'>\n<p>text of a page</p>\n</div>",
        "<?xml version='1.0'?>\n<html><body>x",
        "Words <i>in</i> a <a href='x'>link</a>",
    ],
)
def test_html_is_recognised(text: str) -> None:
    assert looks_like_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "Returns <class 'int'>, a List<T> or Map<K, V>.",
        "From <jo@example.org>, see <https://example.org/a>.",
        "if a < b and b > c: <b>",
        "Template for a <td></td> or <th></th> element.",
        ">>> show()\n<p>one</p>\n<p>two</p>",
        "Wraps the text in ``<p>`` ... ``</p>`` and `<b>`, `</b>`.",
        "<p>once</p>" + " words" * 200,
        "plain",
    ],
)
def test_text_that_mentions_tags_is_not_html(text: str) -> None:
    assert not looks_like_html(text)


def test_stripping_leaves_the_text_with_its_blocks_apart() -> None:
    assert [line for line in strip_html(PAGE).split("\n") if line] == ["A < B", "One", "two é"]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("a &amp; b &#233; &unknown;", "a & b é &unknown;"),
        ("List<T> of <class 'int'> &lt;b&gt;", "List<T> of <class 'int'> <b>"),
        ("a < b > c", "a < b > c"),
        ("<b>un<i>closed", "unclosed"),
        ("<head><title>x</title><body>seen", "seen"),
        ("x</p></b></style>y", "x\ny"),
    ],
)
def test_only_tags_of_html_are_stripped(html: str, text: str) -> None:
    assert strip_html(html).strip() == text
