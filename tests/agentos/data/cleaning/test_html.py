from __future__ import annotations

import time

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


@pytest.mark.parametrize(
    "unit",
    [
        "<a ",
        '<a b="',
        "<!--",
        "<!--x>",
        "<![CDATA[x>",
        "<",
        "</",
        "<?",
        "<a b='x>",
        "<script>",
        "&#",
    ],
)
def test_constructs_without_end_are_stripped_in_linear_time(unit: str) -> None:
    text = "<html><p>words</p>" + unit * (400_000 // len(unit))
    begun = time.perf_counter()
    found = strip_html(text)
    assert time.perf_counter() - begun < 20  # quadratic time would take an hour
    assert "words" in found


def test_rough_stripping_leaves_the_text_of_sound_markup() -> None:
    page = "<html><p>One &amp; <b>two</b><script>if (a<b) x</script> List<T></p><!-- c -->"
    assert strip_html(page + "<a " * 10_000).split("<a ")[0].split("\n") == [
        "",
        "",
        "One & two List<T>",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>a<![foo]>b</p>", "\nab\n"),
        ("&#" + "9" * 5000 + ";x", "\ufffdx"),
        ("&#" + "0" * 5000 + "65;x", "Ax"),
        ("&#x" + "f" * 5000 + ";x", "\ufffdx"),
    ],
)
def test_markup_that_breaks_the_parser_is_text(text: str, expected: str) -> None:
    assert strip_html(text) == expected
