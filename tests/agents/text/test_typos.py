from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.text.tokens import key_of
from agents.text.typos import VARIANTS, alphabet_of, misspell
from agents.text.vocabulary import Vocabulary

LETTERS = "abcXYZ019éàяжсТЩ山上下かきカキ가나"
ALPHABET = alphabet_of([LETTERS])
DRAWS = st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3)


def distance(one: str, other: str) -> int:
    """Optimal string alignment distance: deletions, insertions, exchanges and swaps of neighbours."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0], table[0, :] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            options = [table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b)]
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                options.append(table[i - 2, j - 2] + 1)
            table[i, j] = min(options)
    return int(table[-1, -1])


@given(word=st.text(st.sampled_from("aZ9éя山かカ가"), min_size=1, max_size=8), draws=DRAWS)
def test_typo_is_one_step_from_the_word(word: str, draws: tuple[float, ...]) -> None:
    assert distance(misspell(word, ALPHABET, draws), word) == 1


@pytest.mark.parametrize(
    ("letter", "others"),
    [
        ("a", "bcéà"),
        ("Z", "XY"),
        ("я", "жс"),
        ("か", "き"),
        ("カ", "キ"),
        ("山", "上下"),
        ("9", "01"),
    ],
)
def test_new_letter_is_another_of_the_same_script_and_case(letter: str, others: str) -> None:
    draws = [(0.0, draw, 0.0) for draw in np.linspace(0, 0.999, 50)]
    assert {misspell(letter, ALPHABET, draw) for draw in draws} == set(others)


def test_single_letter_without_others_stays() -> None:
    assert misspell("x", alphabet_of(["x"]), (0.0, 0.0, 0.0)) == "x"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_misspelt_tokens_decode_to_typos_in_the_same_place(kind: str) -> None:
    tokenizer = trained(kind)
    vocabulary = Vocabulary(tokenizer)
    tokens = np.repeat(np.arange(len(tokenizer)), VARIANTS)
    draws = np.tile((np.arange(VARIANTS) + 0.5) / VARIANTS, len(tokenizer))
    places, variants = vocabulary.typos.draw(tokens, draws)
    assert len(places) == len(variants) > len(tokens) / 5
    for place, variant in zip(places, variants, strict=True):
        before = vocabulary.word_codec.decode(key_of(tokens[place : place + 1]))
        after = vocabulary.word_codec.decode(key_of(variant))
        assert before is not None
        assert after is not None
        assert distance(before, after) <= 1
        assert vocabulary.begins_word[variant[0]] == vocabulary.begins_word[tokens[place]]


def test_what_is_no_word_is_not_misspelt() -> None:
    tokenizer = trained("wordpiece")
    tokens = np.array(tokenizer.convert_tokens_to_ids(["[MASK]", "[UNK]", ",", "."]))
    places, variants = Vocabulary(tokenizer).typos.draw(tokens, np.zeros(4))
    assert len(places) == len(variants) == 0


def trained(kind: str) -> Any:
    from agentos.data.config import TokenizerConfig
    from agentos.data.tokenization.tokenizer import train

    text = "The tower, of glass. abcdefghijklmnopqrstuvwxyz 山上山下 ひらかな"
    config = TokenizerConfig(kind=kind, vocabulary_size=400, lowercase=False)
    return train([" ".join([text, *"abcdefghijklmnopqrstuvwxyz"])] * 3, config)
