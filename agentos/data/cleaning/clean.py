"""Normal form of a text, its words, and the key by which duplicates are found."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from agentos.data.scripts import WORD, bound_marks

# Raise it when cleaning, in this or another file, changes: cached corpora are keyed by it.
VERSION = 3

# Led by one set of characters, so that the search skips all others quickly.
_BREAK = re.compile(r"[\r\v\f\x85\u2028\u2029](?:(?<=\r)\n)?")
_BLANK_LINES = re.compile(r"\n{3,}")
# Controls (not tab or newline), lone surrogates, and characters that print as nothing.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    r"""Return the text in NFC, without control characters and with normalised white space.

    Runs of spaces become one, lines lose the spaces at their ends, and several empty lines become one.
    Line breaks stay: a first line may summarise the lines below it.

    Example:
        >>> clean("  A\tsummary.\r\n\r\n\r\n\r\nThe \x00body.\n")
        'A summary.\n\nThe body.'
    """
    text = _INVISIBLE.sub("", _BREAK.sub("\n", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", bound_marks(text))
    tidy = "\n".join([" ".join(line.split()) for line in text.split("\n")])
    return (_BLANK_LINES.sub("\n\n", tidy) if "\n\n\n" in tidy else tidy).strip()


def key(text: str) -> int:
    """Return a 64-bit key that ignores case and white space.

    Two of ten million different texts share a key with a probability of 3 in a million.

    Example:
        >>> key("One  text") == key("one\\ntext")
        True
    """
    collapsed = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.blake2b(collapsed.encode(), digest_size=8).digest(), "little")


def cut(text: str, words_before: int) -> tuple[str, str]:
    r"""Cut a text before one of its words, as `words` counts them; white space becomes one space.

    Example:
        >>> cut("three short\nwords", 1), cut("\u4f60\u597d", 1)
        (('three', 'short words'), ('\u4f60', '\u597d'))
    """
    starts = [word.start() for word in WORD.finditer(text)]
    place = starts[words_before] if words_before < len(starts) else len(text)
    return " ".join(text[:place].split()), " ".join(text[place:].split())
