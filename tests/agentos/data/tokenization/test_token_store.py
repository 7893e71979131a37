from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.data.config import TokenizerConfig
from agentos.data.tokenization.token_store import TokenStore, tokenize
from agentos.data.tokenization.tokenizer import train
from protocols.errors import DataError

TEXTS = ["red wine and bread", "", "linear algebra " * 40, "bread"]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return train(TEXTS * 5, TokenizerConfig(vocabulary_size=300))


@pytest.fixture
def store(tokenizer: object, tmp_path: Path) -> TokenStore:
    return tokenize(iter(TEXTS), tokenizer, tmp_path / "tokens", 30)  # type: ignore[arg-type]


def test_tokens_are_those_of_the_tokenizer_without_special_ones_and_cut(
    store: TokenStore, tokenizer: object
) -> None:
    assert len(store) == len(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = tokenizer(text, add_special_tokens=False)["input_ids"][:30]  # type: ignore[operator]
        assert store[row].tolist() == alone
    assert store.lengths.tolist() == [4, 0, 30, 1]
    assert (store.lengths.dtype, store[0].dtype) == (np.int64, np.int32)


def pieces(store: TokenStore, row: int) -> list[list[int]]:
    bounds = [*store.sentences(row).tolist(), len(store[row])]
    return [store[row][a:b].tolist() for a, b in pairwise(bounds)]


PROSE = "Red wine and bread. Linear algebra! bread\n\n- wine. 酒。Bread"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_sentences_begin_at_their_first_token(kind: Any, tmp_path: Path) -> None:
    config = TokenizerConfig(kind=kind, vocabulary_size=300)
    trained = train([*TEXTS, PROSE] * 5, config)
    store = tokenize([PROSE, "", "bread"], trained, tmp_path / "t", 512)
    told = [trained.decode(piece).strip() for piece in pieces(store, 0)]
    expected = ["red wine and bread.", "linear algebra! bread", "- wine.", "酒。", "bread"]
    assert [text.replace(" ", "") for text in told] == [t.replace(" ", "") for t in expected]
    assert store.sentence_counts.tolist() == [5, 0, 1]
    assert (store.sentences(0).dtype, store.sentences(2).tolist()) == (np.int32, [0])
    assert pickle.loads(pickle.dumps(store)).sentences(0).tolist() == store.sentences(0).tolist()
    with pytest.raises(IndexError):
        store.sentences(3)


def test_sentences_behind_the_cut_are_left_out(tokenizer: object, tmp_path: Path) -> None:
    text = "red wine. bread. And bread. Red"
    for cut in range(2, 9):
        store = tokenize([text], tokenizer, tmp_path / str(cut), cut)  # type: ignore[arg-type]
        starts = store.sentences(0)
        assert starts[0] == 0
        assert np.all(np.diff(starts) > 0)
        assert starts[-1] < len(store[0]) == cut


def test_sentence_that_begins_with_what_the_tokenizer_drops_begins_at_the_next(
    tmp_path: Path,
) -> None:
    from tokenizers import Regex, normalizers

    trained = train(TEXTS * 5, TokenizerConfig(vocabulary_size=300))
    dropping = normalizers.Sequence([normalizers.Replace(Regex("¿"), ""), normalizers.Lowercase()])
    trained.backend_tokenizer.normalizer = dropping
    store = tokenize(["red wine. ¿Bread"], trained, tmp_path / "t", 20)
    assert [trained.decode(piece) for piece in pieces(store, 0)] == ["red wine [UNK]", "bread"]


def test_slow_tokenizer_is_given_sentence_by_sentence(tmp_path: Path) -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
            return {"input_ids": [len(word) for word in text.split()]}

    store = tokenize(["A bc. Def! ", ""], Slow(), tmp_path / "t", 20)  # type: ignore[arg-type]
    assert (store[0].tolist(), store.sentences(0).tolist()) == ([1, 3, 4], [0, 2])
    assert (len(store[1]), store.sentence_counts.tolist()) == (0, [2, 0])
    cut = tokenize(["A bc. Def! "], Slow(), tmp_path / "t", 2)  # type: ignore[arg-type]
    assert (cut[0].tolist(), cut.sentences(0).tolist()) == ([1, 3], [0])


def test_rows_are_read_only_views_of_one_map(store: TokenStore) -> None:
    assert type(store[0]) is np.ndarray
    assert np.shares_memory(store[0], store[0])
    with pytest.raises(ValueError, match="read-only"):
        store[0][0] = 1


def test_rows_outside_are_refused(store: TokenStore) -> None:
    for row in (-1, len(TEXTS)):
        with pytest.raises(IndexError):
            store[row]


def test_store_pickles_as_its_path(store: TokenStore) -> None:
    frozen = pickle.dumps(store)
    assert len(frozen) < 500
    again = pickle.loads(frozen)
    assert [again[row].tolist() for row in range(len(again))] == [
        store[row].tolist() for row in range(len(store))
    ]


def test_writing_again_replaces_what_was_there(store: TokenStore, tokenizer: object) -> None:
    again = tokenize(["bread"], tokenizer, store.directory, 30)  # type: ignore[arg-type]
    assert len(again) == 1
    assert [path.name for path in store.directory.parent.iterdir()] == ["tokens"]


def test_texts_without_a_token_are_refused_and_leave_nothing(
    tokenizer: object, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no tokens"):
        tokenize(["", " "], tokenizer, tmp_path / "tokens", 30)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_header_written_last_reads_back_at_every_length(tokenizer: object, tmp_path: Path) -> None:
    # The header is padded for longer numbers; 1 to 5 digits must fit the same bytes.
    for count in (1, 10, 100, 1000, 10_000):
        store = tokenize(["bread"] * count, tokenizer, tmp_path / "t", 4)  # type: ignore[arg-type]
        assert len(store) == count
        assert store[count - 1].tolist() == store[0].tolist()


@pytest.mark.parametrize(
    "name", ["ids.npy", "offsets.npy", "sentences.npy", "sentence_offsets.npy"]
)
def test_damaged_files_are_refused(store: TokenStore, name: str) -> None:
    path = store.directory / name
    content = path.read_bytes()
    for damage in (content[:-4], content[:40], b"", b"x" * len(content)):
        path.unlink()  # the old one is still mapped
        path.write_bytes(damage)
        with pytest.raises(DataError):
            TokenStore.open(store.directory)
    path.unlink()
    with pytest.raises(DataError, match=name):
        TokenStore.open(store.directory)


@pytest.mark.parametrize("offsets", [[], [1, 35], [0, 20, 10, 35], [0, 34], [0, 36]])
def test_offsets_that_do_not_fit_are_refused(store: TokenStore, offsets: list[int]) -> None:
    path = store.directory / "offsets.npy"
    path.unlink()
    np.save(path, np.array(offsets, dtype=np.int64))
    with pytest.raises(DataError, match="are inconsistent"):
        TokenStore.open(store.directory)


def test_sentences_of_other_documents_are_refused(store: TokenStore) -> None:
    path = store.directory / "sentence_offsets.npy"
    path.unlink()
    np.save(path, np.array([0, 3], dtype=np.int64))
    with pytest.raises(DataError, match="are inconsistent"):
        TokenStore.open(store.directory)


def test_tokens_of_another_type_are_refused(store: TokenStore) -> None:
    path = store.directory / "ids.npy"
    path.unlink()
    np.save(path, np.zeros(35, dtype=np.int64))
    with pytest.raises(DataError, match="does not hold what"):
        TokenStore.open(store.directory)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_long_text_is_cut_before_it_is_tokenised_with_the_same_tokens(
    kind: Any, tmp_path: Path
) -> None:
    trained = train([*TEXTS, PROSE] * 5, TokenizerConfig(kind=kind, vocabulary_size=300))
    words = "antidisestablishmentarianism " * 40
    texts = [PROSE * 30, "x" * 3000, words, " " * 500 + PROSE, "a\n" + "-" * 900 + PROSE]
    for cut in (5, 40):
        store = tokenize(texts, trained, tmp_path / str(cut), cut)
        for row, text in enumerate(texts):
            assert store[row].tolist() == trained(text, add_special_tokens=False).input_ids[:cut]
            whole = tokenize([text], trained, tmp_path / "whole", 100_000).sentences(0)
            assert store.sentences(row).tolist() == whole[whole < len(store[row])].tolist()
