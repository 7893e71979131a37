from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.text.vocabulary import Vocabulary
from protocols.errors import ModelError

SPACED = ["The", "glass", "(", "tower", ")", "leant", ",", "too"]
CHINESE = "我们在山上看见了一只鸟。山上的鸟看见了我们。"
JAPANESE = "東京の山で鳥を見た。ひらがなとカタカナ。"


def trained(kind: str, *texts: str, size: int = 400) -> Any:
    from agentos.data.config import TokenizerConfig
    from agentos.data.tokenization.tokenizer import train

    # Lower case takes the accents of Japanese too.
    config = TokenizerConfig(kind=kind, vocabulary_size=size, lowercase=False)
    return train(list(texts) * 3, config)


def words_of(tokenizer: Any, text: str) -> list[str]:
    """Cut a text into words by the vocabulary alone, and decode each."""
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    starts = Vocabulary(tokenizer).words(ids)
    return [tokenizer.decode(word).replace(" ", "") for word in np.split(ids, starts[1:])]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_words_of_a_spaced_script_are_words_and_punctuation(kind: str) -> None:
    # A vocabulary so small that words are in many pieces.
    tokenizer = trained(kind, "The tower, (glass) leaning too", size=300)
    found = words_of(tokenizer, "The glass (tower) leant, too")
    assert [word.replace("##", "") for word in found] == SPACED


@pytest.mark.parametrize("size", [300, 2000], ids=["bytes", "characters"])
@pytest.mark.parametrize("text", [CHINESE, JAPANESE])
def test_bpe_of_a_script_without_spaces_begins_words_at_characters(text: str, size: int) -> None:
    found = words_of(trained("bpe", CHINESE, JAPANESE, size=size), text)
    assert "".join(found) == text
    assert "\ufffd" not in "".join(found)
    assert len(found) >= 2


@pytest.mark.parametrize("text", [CHINESE, JAPANESE])
def test_wordpiece_of_a_script_without_spaces_begins_words_at_tokens(text: str) -> None:
    found = words_of(trained("wordpiece", CHINESE, JAPANESE), text)
    assert "".join(found) == text
    assert len(found) > len(text) / 3


def test_accent_stays_with_its_letter() -> None:
    names = ["เ", "##ห", "##็", "##น"]
    assert vocabulary(names).begins_word.tolist() == [True, True, False, True]


def test_latin_word_after_a_script_without_spaces_is_a_word() -> None:
    tokenizer = trained("bpe", CHINESE, "tower", size=300)
    assert words_of(tokenizer, "山tower山") == ["山", "tower", "山"]


def test_letters_beyond_ascii_do_not_split_a_word() -> None:
    tokenizer = trained("bpe", "Việt Nam été Straße", size=300)
    assert words_of(tokenizer, "Viết tế Straßen") == ["Viết", "tế", "Straßen"]


@pytest.mark.parametrize(
    ("names", "begins"),
    [
        (["▁play", "ing", "▁", "山", "<0xE5>", "<0x9B>", "é"], [1, 0, 1, 1, 1, 0, 0]),
        (["play", "##ing", "##", "##山", "Ġ", "▁", "##é"], [1, 0, 1, 1, 1, 1, 0]),
        (["a", "b", "山"], [1, 1, 1]),
    ],
    ids=["sentencepiece", "wordpiece", "characters"],
)
def test_marks_tell_which_tokens_begin_a_word(names: list[str], begins: list[int]) -> None:
    assert vocabulary(names).begins_word.tolist() == [bool(flag) for flag in begins]


def test_sentence_begins_a_word() -> None:
    known = vocabulary(["play", "##ing"])
    assert known.begins(np.array([0, 1, 1]), np.array([0, 2])).tolist() == [True, False, True]


def test_vocabulary_without_mask_refuses_to_mask() -> None:
    with pytest.raises(ModelError, match="no mask token"):
        vocabulary(["a"]).mask()


def test_special_tokens_beyond_the_vocabulary_are_left_out() -> None:
    known = vocabulary(["a", "[MASK]", "b"], special=[1, 3, 4])
    assert known.special.tolist() == [False, True, False]
    assert known.ordinary.tolist() == [0, 2]


def vocabulary(names: list[str], special: Sequence[int] = ()) -> Vocabulary:
    class Tokenizer(SimpleNamespace):
        def __len__(self) -> int:
            return len(names)

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [names[i] for i in ids]

    tokenizer = Tokenizer(all_special_ids=list(special), mask_token_id=None)
    return Vocabulary(tokenizer)  # type: ignore[arg-type]
