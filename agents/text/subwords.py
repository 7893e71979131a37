"""Word boundaries and text of subword tokens, read from their names in a vocabulary.

Tokenizers write tokens in one of three ways. WordPiece marks the continuation of a word (``##``).
SentencePiece marks a token that follows a space (``▁``). Byte-level BPE does too (``Ġ``), and writes every
byte as a character: ``é``, two bytes, is ``Ã©``, and a token may end in the middle of a character.

`tokenizers.Encoding.word_ids` cannot serve here: it exists only while a string is encoded, and views cut,
reorder and replace stored token ids. Nor does it split scripts without spaces under byte-level BPE.
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


class Subword(NamedTuple):
    """A token of a vocabulary.

    Attributes:
        begins_word: a word begins with it.
        ends_word: the token after it begins a word, whichever that is.
        marked: its name begins with the tokenizer's marker.
        content: the UTF-8 bytes that it stands for, without the space before it.
    """

    begins_word: bool
    ends_word: bool
    marked: bool
    content: bytes


def marker_of(names: Sequence[str]) -> str:
    """Return the marker of a vocabulary's names: ``##``, ``▁`` or ``Ġ``."""
    markers = (_CONTINUATION, _SPACE, BYTE_SPACE)
    counts = [sum(name.startswith(marker) for name in names) for marker in markers]
    return markers[counts.index(max(counts))]


def subwords(names: Sequence[str]) -> list[Subword]:
    """Parse the names of a vocabulary.

    In scripts without spaces every token is a word of its own. So is punctuation.

    Example:
        >>> [subword.begins_word for subword in subwords(["play", "##ing", "##山"])]
        [True, False, True]
        >>> [subword.begins_word for subword in subwords(["Ġplay", "ing", "å±±"])]
        [True, False, True]
    """
    marker = marker_of(names)
    return [_subword(name, marker) for name in names]


def _subword(name: str, marker: str) -> Subword:
    marked = name.startswith(marker)
    content = _bytes(name.removeprefix(marker), byte_level=marker == BYTE_SPACE)
    text, part = _decode(content)
    begins = text or _completed(part)
    if marker == _CONTINUATION:
        begins_word = not marked or name == marker or _is_unspaced(begins)
        return Subword(begins_word, ends_word=False, marked=marked, content=content)
    last = "" if part else text[-1:]
    return Subword(
        begins_word=marked or _is_unspaced(begins) or _is_punctuation(begins[:1]),
        ends_word=_is_unspaced(last) or _is_punctuation(last),
        marked=marked,
        content=content,
    )


def _is_unspaced(text: str) -> bool:
    """Return whether a text begins with a base character, no accent, of a script without spaces."""
    if not text or unicodedata.category(text[0]).startswith("M"):
        return False
    return any(first <= ord(text[0]) <= last for first, last in _UNSPACED)


def _is_punctuation(text: str) -> bool:
    return text != "" and (text.isspace() or unicodedata.category(text)[0] in "PS")


def _bytes(name: str, byte_level: bool) -> bytes:
    """Return the bytes that a token stands for.

    Args:
        name: without its marker.
        byte_level: whether every character of the name stands for a byte.
    """
    byte = _BYTE.fullmatch(name)
    if byte:
        return bytes([int(byte[1], 16)])
    if byte_level and all(character in _BYTES for character in name):
        return bytes(_BYTES[character] for character in name)
    return name.encode()


def _decode(data: bytes) -> tuple[str, bytes]:
    """Decode up to the first incomplete character; return that text and the remaining bytes."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        return data[: error.start].decode(), data[error.start :]


def _completed(part: bytes) -> str:
    """Return a character that begins with these bytes; an empty text where they leave its script open."""
    # Scripts without spaces begin with E0 or above; a single byte settles the script from E3 to E9 only.
    if not part or part[0] < 0xE0 or (len(part) == 1 and not 0xE3 <= part[0] <= 0xE9):
        return ""
    length = 3 if part[0] < 0xF0 else 4
    return (part + b"\x80" * length)[:length].decode(errors="ignore")


def _byte_characters() -> dict[str, int]:
    """Return byte-level BPE's characters: printable bytes as themselves, the others from U+0100 on."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    table = {chr(byte): byte for byte in printed}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTES = _byte_characters()
