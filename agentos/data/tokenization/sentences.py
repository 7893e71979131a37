"""Sentence boundaries by rules: no model, and deterministic.

A mark such as ``.`` ends a sentence if white space follows and the next word could begin one.
Abbreviations, initials and list numbers do not end sentences; ambiguous abbreviations ("Inc.", "U.S.", "J.")
do only before a word that often begins one. Marks of scripts without spaces always end a sentence. An empty
line, a bullet, a doctest prompt and a line that ends in a colon end one without a mark; other line breaks are
white space, since docstrings are wrapped.

PySBD, syntok and BlingFire, made for running English prose, break on wrapped lines, bullets, doctest
prompts or scripts without spaces, and are slower by a factor of five to a hundred and fifty.

The rules for abbreviations follow Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary
Detection", 2006, who learn the classes that are lists here.
"""

from __future__ import annotations

import re
from itertools import pairwise

# Raise it when the rules change: stored tokens are keyed by it.
VERSION = 1

_CLOSING = "\"'”’»)\\]}›*_`"
_OPENING = "\"'“‘«(\\[{‹*_`:¿¡-"
# Chinese, Japanese; Devanagari, Arabic, Urdu, Armenian, Ethiopic, Burmese, Khmer, Tibetan.
_FULL = "。！？｡．।॥؟۔։።፧፨။។៕༎"
_FULL_CLOSING = "」』）】》〉”’\"')〕］｝"
# Led by one set of characters, so that the search skips all others quickly.
_BOUNDARY = re.compile(
    rf"[.!?…:：\n{_FULL}](?:"
    rf"(?<=[{_FULL}])[{_FULL}]*[{_FULL_CLOSING}]*\s*"
    r"|(?<=[:：])[^\S\n]*\n\s*"
    r"|(?<=\n)(?:\s*\n\s*|[^\S\n]*(?=(?:[-*•‣–][^\S\n]|>>>|\d{1,3}[.)]\s)))"
    # No sentence ends before a lower-case letter or a mark that continues it.
    rf"|(?<=[.!?…])(?<![.!?…]{{2}})[.!?…]*(?P<mark>)[{_CLOSING}]*\s+(?=[^\sa-z,;.!?…%=<>/)\]}}]))"
)
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘«<>/,;:]*\Z")
_FIRST_WORD = re.compile(rf"[{_OPENING}]*(\w[\w'’]*)?")
_LIST_NUMBER = re.compile(r"(?:\d{1,3}|[ivxIVX]{1,4}|[a-zA-Z])\Z")
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]\Z")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations that never end a sentence.
_NEVER = _words(
    "mr mrs ms mx dr prof rev fr sr sra st hon gen col maj capt lt sgt cmdr pres gov sen rep messrs "
    "mme mlle e.g eg i.e ie cf vs viz resp approx ca fig figs eq eqs eqn sec sect chap ref refs tab "
    "z.b d.h bzw hr s.o"
)
# Abbreviations that end a sentence unless a number follows.
_BEFORE_NUMBER = _words(
    "no nos nr p pp vol vols ch art para op jan feb mar apr jun jul aug sep sept oct nov dec"
)
# Abbreviations that, like initials and acronyms, end a sentence only before a word of `_STARTERS`.
_MAYBE = _words("inc ltd co corp bros jr sr ph.d m.d b.a m.a m.sc a.m p.m al etc dept est")
_STARTERS = _words(
    "the a an this that these those it its he she they we you i in on at by for from to if when "
    "while where as but and or so however there here his her their our your my no not after before "
    "then thus since each all some many most what why how who is are was were do does did see note "
    "returns return use with"
)


def sentence_starts(text: str) -> list[int]:
    """Return the character offsets at which sentences begin: 0 first, strictly increasing.

    White space after a sentence belongs to it, so the pieces between the offsets concatenate to the
    text, and none is only white space unless the whole text is.

    Args:
        text: any text; an empty text has no sentence.

    Example:
        >>> text = "Dr. No paid 3.50 in the U.S. today. 你好。再见！ Why?"
        >>> sentence_starts(text)
        [0, 36, 39, 43]
    """
    if not text:
        return []
    starts = [0]
    begun = len(text) - len(text.lstrip())  # start of the current sentence, without white space
    for match in _BOUNDARY.finditer(text):
        at, end = match.span()
        if at <= begun or end == len(text):  # a single mark is not a sentence
            continue
        if match["mark"] is None or _ends(text, at, text[at : match.end("mark")], end):
            starts.append(end)
            begun = end
    return starts


def split_sentences(text: str) -> list[str]:
    """Return the sentences, each with the white space that follows it.

    Example:
        >>> split_sentences("One. Two.")
        ['One. ', 'Two.']
    """
    bounds = [*sentence_starts(text), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def _ends(text: str, at: int, mark: str, following: int) -> bool:
    """Return whether a mark ends a sentence, given that the text after it could begin one."""
    first = _FIRST_WORD.match(text, following)
    word = (first[1] if first else None) or ""
    if word and word[0].islower():
        # An identifier in back quotes, a role or a bullet may begin a sentence in lower case.
        return word[0].isascii() and text[following] in "`:*-"
    if mark != ".":
        return True
    before = _WORD_BEFORE.search(text, max(0, at - 24), at)
    last = before[0] if before else ""
    if _LIST_NUMBER.match(last) and _begins_line(text, at - len(last)):
        return False
    folded = last.lower()
    if folded in _NEVER:
        return False
    if folded in _BEFORE_NUMBER:
        return not word[:1].isdigit()
    if folded in _MAYBE or _ACRONYM.match(last):
        return word.lower() in _STARTERS
    return True


def _begins_line(text: str, at: int) -> bool:
    before = text[max(0, at - 8) : at].rstrip(" (*-")
    return not before or before[-1] == "\n"
