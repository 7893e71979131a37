from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from agentos.data.config import TokenizerConfig
from agentos.data.tokenization.tokenizer import (
    SPECIAL_TOKENS,
    check,
    content_digest,
    load,
    train,
    unknown_rate,
)
from protocols.errors import DataError
from protocols.seeding import generator

KINDS: tuple[Literal["wordpiece", "bpe"], ...] = ("wordpiece", "bpe")


def made_texts(count: int = 300) -> list[str]:
    """Texts of made words, many of the same frequency, so that ties between merges are common."""
    rng = generator(0, "texts")
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, 3)) for _ in range(400)]
    return [" ".join(rng.choice(words, 12)).capitalize() + "." for _ in range(count)]


TEXTS = made_texts()


def config(kind: Literal["wordpiece", "bpe"], **changes: Any) -> TokenizerConfig:
    return TokenizerConfig(kind=kind, **{"vocabulary_size": 500, **changes})


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return train(TEXTS, config(request.param))


@pytest.mark.parametrize("kind", KINDS)
def test_same_texts_give_the_same_tokenizer_every_time(kind: Literal["wordpiece", "bpe"]) -> None:
    digests = {content_digest(train(TEXTS, config(kind))) for _ in range(4)}
    assert len(digests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_iterator_gives_what_a_list_gives(kind: Literal["wordpiece", "bpe"]) -> None:
    assert content_digest(train(iter(TEXTS), config(kind))) == content_digest(
        train(TEXTS, config(kind))
    )


def test_special_tokens_have_fixed_ids_and_frame_a_text(tokenizer: Any) -> None:
    tokens = list(SPECIAL_TOKENS.values())
    assert tokenizer.convert_tokens_to_ids(tokens) == [0, 1, 2, 3, 4]
    assert sorted(tokenizer.all_special_tokens) == sorted(tokens)
    encoded = tokenizer(TEXTS[0])
    plain = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert encoded["input_ids"] == [2, *plain, 3]
    assert set(encoded) == {"input_ids", "attention_mask"}


def test_vocabulary_has_the_size_asked_for_and_no_gap(tokenizer: Any) -> None:
    assert sorted(tokenizer.get_vocab().values()) == list(range(500))


def test_text_it_was_trained_on_is_known_and_comes_back(tokenizer: Any) -> None:
    assert unknown_rate(tokenizer, TEXTS) == 0.0
    ids = tokenizer(TEXTS[0])["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" .", ".") == TEXTS[0].lower()


def test_saved_tokenizer_loads_with_auto_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(str(tmp_path))
    for again in (AutoTokenizer.from_pretrained(str(tmp_path)), load(tmp_path)):
        assert content_digest(again) == content_digest(tokenizer)
        assert again(TEXTS[:5]) == tokenizer(TEXTS[:5])
        assert (again.pad_token_id, again.unk_token_id) == (0, 1)
        assert again.model_input_names == ["input_ids", "attention_mask"]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"version": "1.0"', None])
def test_damaged_tokenizer_folder_is_refused(
    tokenizer: Any, tmp_path: Path, damage: bytes | None
) -> None:
    tokenizer.save_pretrained(str(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    if damage is not None:
        (tmp_path / "tokenizer.json").write_bytes(damage)
    with pytest.raises(DataError):
        load(tmp_path)


def test_digest_is_unchanged_by_use(tokenizer: Any) -> None:
    before = content_digest(tokenizer)
    tokenizer(TEXTS[:3], padding=True, truncation=True, max_length=8)
    assert content_digest(tokenizer) == before


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_case_is_folded_where_asked(kind: Literal["wordpiece", "bpe"], lowercase: bool) -> None:
    tokenizer = train(TEXTS, config(kind, lowercase=lowercase))
    same = tokenizer(TEXTS[0])["input_ids"] == tokenizer(TEXTS[0].lower())["input_ids"]
    assert same is lowercase


def test_unknown_rate_is_the_share_of_unknown_tokens() -> None:
    tokenizer = train(TEXTS, config("wordpiece"))
    texts = [TEXTS[0], "\u6211 " + TEXTS[1], "\u6211\u559c\u6b22"]
    tokens = [token for text in texts for token in tokenizer.tokenize(text)]
    assert tokens.count("[UNK]") == 4
    assert unknown_rate(tokenizer, iter(texts)) == 4 / len(tokens)
    assert unknown_rate(tokenizer, [""]) == 1.0


def test_bytes_of_any_language_are_known_to_bpe() -> None:
    assert unknown_rate(train(TEXTS, config("bpe")), ["\u6211\u559c\u6b22 \U0001f600"]) == 0.0


def test_tokenizer_that_does_not_know_the_text_is_refused() -> None:
    tokenizer = train(TEXTS, config("wordpiece"))
    assert check(tokenizer, TEXTS, 0.0) == 0.0
    with pytest.raises(DataError, match="unknown to the tokenizer") as caught:
        check(tokenizer, ["\u6211\u559c\u6b22", TEXTS[0]], 0.02)
    assert "2.00%" in str(caught.value.expected)
    assert "bpe" in str(caught.value.hint)


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_texts_without_words_cannot_train_a_tokenizer(texts: list[str]) -> None:
    with pytest.raises(DataError, match="contain no word"):
        train(texts, config("wordpiece"))


def test_rare_characters_do_not_crowd_out_the_vocabulary() -> None:
    rare = ["".join(chr(0x0400 + i) for i in range(200)) + "".join(map(chr, range(0x5D0, 0x5EB)))]
    vocabulary = train([*TEXTS, *rare], config("wordpiece")).get_vocab()
    single = [token for token in vocabulary if len(token.removeprefix("##")) == 1]
    assert len(single) <= 2 * (500 // 4)


def test_texts_are_never_all_in_memory_where_they_can_be_read_twice() -> None:
    class Twice:
        passes = 0

        def __iter__(self) -> Iterator[str]:
            self.passes += 1
            return iter(TEXTS)

    texts = Twice()
    train(texts, config("wordpiece"))
    assert texts.passes >= 2
