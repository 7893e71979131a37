"""What the name of a token says of the text it stands for, and of the words around it.

Tokenizers write their tokens in one of three ways. WordPiece marks what goes on with a word (``##``).
SentencePiece marks what follows a space (``▁``). Byte-level BPE does too (``Ġ``), and writes every byte as
a character: ``é``, two bytes, is ``Ã©``, and a token may end in the middle of a character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

_CONTINUATION, _SPACE, BYTE_SPACE = "##", "▁", "Ġ"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_UNSPACED = (
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao, Tibetan; Burmese; Khmer
    *((0x3001, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF)),  # Japanese; Chinese
    (0x20000, 0x3FFFF),
)
"""Scripts that are written without spaces, by code point."""


class Piece(NamedTuple):
    """A token as part of a text.

    Attributes:
        opens: a word begins with it.
        closes: what follows it begins a word.
        marked: whether its name has the tokenizer's mark.
        content: the UTF-8 bytes that it stands for, without the space before it.
    """

    opens: bool
    closes: bool
    marked: bool
    content: bytes


def mark_of(names: Sequence[str]) -> str:
    """Return the mark that a vocabulary's names have: ``##``, ``▁`` or ``Ġ``."""
    marks = (_CONTINUATION, _SPACE, BYTE_SPACE)
    counts = [sum(name.startswith(mark) for name in names) for mark in marks]
    return marks[counts.index(max(counts))]


def pieces(names: Sequence[str]) -> list[Piece]:
    """Tell where words begin, and what tokens stand for, from the names of a vocabulary.

    In scripts without spaces every character, or what the tokenizer made of a few, is a word. So is
    punctuation.

    Example:
        >>> [piece.opens for piece in pieces(["play", "##ing", "##山"])]
        [True, False, True]
        >>> [piece.opens for piece in pieces(["Ġplay", "ing", "å±±"])]
        [True, False, True]
    """
    mark = mark_of(names)
    return [_piece(name, mark) for name in names]


def _piece(name: str, mark: str) -> Piece:
    marked = name.startswith(mark)
    content = _bytes(name.removeprefix(mark), byte_level=mark == BYTE_SPACE)
    text, part = _decode(content)
    begins = text or _completed(part)
    if mark == _CONTINUATION:
        opens = not marked or name == mark or _is_unspaced(begins)
        return Piece(opens, closes=False, marked=marked, content=content)
    last = "" if part else text[-1:]
    return Piece(
        opens=marked or _is_unspaced(begins) or _is_punctuation(begins[:1]),
        closes=_is_unspaced(last) or _is_punctuation(last),
        marked=marked,
        content=content,
    )


def _is_unspaced(text: str) -> bool:
    """Whether a text begins with a character, not an accent, of a script without spaces."""
    if not text or unicodedata.category(text[0]).startswith("M"):
        return False
    return any(first <= ord(text[0]) <= last for first, last in _UNSPACED)


def _is_punctuation(text: str) -> bool:
    return text != "" and (text.isspace() or unicodedata.category(text)[0] in "PS")


def _bytes(name: str, byte_level: bool) -> bytes:
    """Return what a token, without its mark, stands for."""
    byte = _BYTE.fullmatch(name)
    if byte:
        return bytes([int(byte[1], 16)])
    if byte_level and all(character in _BYTES for character in name):
        return bytes(_BYTES[character] for character in name)
    return name.encode()


def _decode(data: bytes) -> tuple[str, bytes]:
    """Return the characters up to one that is not whole, and the bytes from there on."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        return data[: error.start].decode(), data[error.start :]


def _completed(part: bytes) -> str:
    """Return a character that begins with these bytes; nothing where they do not tell its script."""
    if not part or part[0] < 0xE0 or (len(part) == 1 and not 0xE3 <= part[0] <= 0xE9):
        return ""
    length = 3 if part[0] < 0xF0 else 4
    return (part + b"\x80" * length)[:length].decode(errors="ignore")


def _byte_characters() -> dict[str, int]:
    """Return how byte-level BPE writes bytes: those that print as themselves, others from U+0100 on."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    table = {chr(byte): byte for byte in printed}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTES = _byte_characters()
