from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.text.tokens import key_of
from agents.text.vocabulary import Vocabulary

TEXT = "the tower of glass 山上 ひらかな été"


def trained(kind: str) -> Any:
    from agentos.data.config import TokenizerConfig
    from agentos.data.tokenization.tokenizer import train

    return train([TEXT] * 3, TokenizerConfig(kind=kind, vocabulary_size=340, lowercase=False))


def words_of(tokenizer: Any, text: str) -> list[np.ndarray]:
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    return np.split(ids, Vocabulary(tokenizer).words(ids)[1:])


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_words_are_read_and_written_back_in_their_places(kind: str) -> None:
    tokenizer = trained(kind)
    codec = Vocabulary(tokenizer).word_codec
    for word in words_of(tokenizer, TEXT):
        read = codec.decode(key_of(word))
        assert read
        assert read in TEXT
        (written,) = codec.encode([read], [key_of(word)])
        assert written is not None
        np.testing.assert_array_equal(written, word)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_word_takes_the_place_of_another_after_a_space_or_not(kind: str) -> None:
    tokenizer = trained(kind)
    codec = Vocabulary(tokenizer).word_codec
    text = "of the tower"
    words = words_of(tokenizer, text)
    for place in range(3):
        (written,) = codec.encode(["glass"], [key_of(words[place])])
        ids = np.concatenate([*words[:place], written, *words[place + 1 :]])
        expected = text.replace(text.split()[place], "glass")
        assert tokenizer.decode(ids) == expected


def test_special_tokens_and_parts_of_characters_are_not_read() -> None:
    tokenizer = trained("bpe")
    codec = Vocabulary(tokenizer).word_codec
    assert codec.decode(key_of(np.array([tokenizer.mask_token_id]))) is None
    half = tokenizer.convert_tokens_to_ids("å")  # the byte 0xE5
    assert codec.decode(key_of(np.array([half]))) is None


def test_word_of_unknown_letters_is_not_written() -> None:
    tokenizer = trained("wordpiece")
    word = key_of(words_of(tokenizer, "the")[0])
    assert Vocabulary(tokenizer).word_codec.encode(["жук", None, ""], [word] * 3) == [None] * 3


def test_using_the_tokenizer_changes_no_spelling() -> None:
    tokenizer = trained("wordpiece")
    codec = Vocabulary(tokenizer).word_codec
    tokenizer("the tower", truncation=True, max_length=3, padding="max_length")
    (written,) = codec.encode(["glasstower"], [key_of(words_of(tokenizer, "the")[0])])
    assert codec.decode(key_of(written)) == "glasstower"
