"""Encoding of texts as token ids, with the tokens at which sentences begin."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from agentos.data.tokenization import sentences

HEAD_CHARACTERS = 8
"""Characters to tokenise per requested token of a long text; nearly always enough."""


def tokens_and_sentences(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the ids of each text, without special tokens, and the tokens at which sentences begin.

    A slow tokenizer (one in Python) does not map tokens to characters, so it encodes sentence by
    sentence. Its ids may then differ from those of the whole text at the boundaries, for instance in
    the marks of word beginnings.
    """
    if not tokenizer.is_fast:
        yield from (_by_sentence(tokenizer, text, max_tokens) for text in texts)
        return
    heads = [_head(text, max_tokens) for text in texts]
    encodings = _encode(tokenizer, heads, max_tokens)
    short = [
        row
        for row, head in enumerate(heads)
        if len(head) < len(texts[row]) and len(encodings[row].ids) < max_tokens
    ]
    whole = _encode(tokenizer, [texts[row] for row in short], max_tokens)
    for row, encoding in zip(short, whole, strict=True):
        heads[row], encodings[row] = texts[row], encoding
    for head, encoding in zip(heads, encodings, strict=True):
        ids = encoding.ids
        yield ids, _increasing(_places(encoding, head, len(ids)), len(ids))


def _head(text: str, max_tokens: int) -> str:
    """Return a prefix that nearly always has enough tokens; it ends before white space.

    Tokenising a whole book to keep one page would be slow. Pre-tokenizers split at white space, so the
    tokens of the prefix are those of the whole text.
    """
    most = max_tokens * HEAD_CHARACTERS
    if len(text) <= most:
        return text
    end = max(text.rfind(" ", 0, most), text.rfind("\n", 0, most))
    return text if end <= 0 else text[:end]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int
) -> list[Encoding]:
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        truncation=True,
        max_length=max_tokens,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    encodings: list[Encoding] = list(encoded.encodings or ())
    return encodings


def _places(encoding: Encoding, text: str, length: int) -> list[int]:
    """Return the token at which each sentence begins: the first that ends after its start."""
    last = encoding.token_to_chars(length - 1) if length else None
    reached = last[1] if last else 0
    starts = [start for start in sentences.sentence_starts(text)[1:] if start < reached]
    places = [place for start in starts if (place := encoding.char_to_token(start)) is not None]
    if len(places) < len(starts):  # the tokenizer drops the first character of some sentence
        ends = [end for _, end in encoding.offsets]
        places = [bisect_right(ends, start) for start in starts]
    return [0, *places]


def _by_sentence(
    tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int
) -> tuple[list[int], list[int]]:
    parts = [
        tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]
        for part in sentences.split_sentences(text)
    ]
    ids = [token for part in parts for token in part][:max_tokens]
    return ids, _increasing([0, *accumulate(map(len, parts))], len(ids))


def _increasing(places: list[int], length: int) -> list[int]:
    """Return the distinct places within the document."""
    return [place for place in dict.fromkeys(places) if place < length]
