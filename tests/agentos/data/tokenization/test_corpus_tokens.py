from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from agentos.data.config import DataConfig, TokenizerConfig
from agentos.data.corpus import Corpus, prepare
from agentos.data.sources import Document, Source
from agentos.data.tokenization import tokenizer as tokenization
from agentos.data.tokenization.corpus_tokens import corpus_tokens, tokenizer_for
from protocols.errors import DataError

TEXTS = tuple(f"Number {i} of several words in one line" for i in range(60))


class Given(Source):
    """A list of texts."""

    kind: Literal["given"] = "given"
    texts: tuple[str, ...]

    def documents(self) -> Iterator[Document]:
        for i, text in enumerate(self.texts):
            yield Document(str(i), text)

    def fingerprint(self) -> str:
        return self.model_dump_json()


def made(cache: Path, *texts: str, agents: int = 3, **changes: Any) -> Corpus:
    settings = {"anchors": 6, "heldout": 0.2, **changes}
    config = DataConfig(source=Given(texts=texts), near_duplicates=None, **settings)
    return prepare(config, agents=agents, seed=0, cache=cache)


def test_tokenizer_is_trained_once_and_on_anchors_and_train_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = made(tmp_path, *TEXTS)
    settings = TokenizerConfig(vocabulary_size=300, sample_documents=10, max_unknown_rate=1.0)
    trained_on: list[list[str]] = []
    train = tokenization.train

    def spy(texts: Any, config: TokenizerConfig) -> Any:
        trained_on.append(list(texts))
        return train(texts, config)

    monkeypatch.setattr(tokenization, "train", spy)
    tokenizers = [tokenizer_for(corpus, settings, 0, tmp_path) for _ in range(2)]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    assert len(trained_on) == 1
    assert len(trained_on[0]) == 6 + 10
    assert set(corpus.texts(corpus.anchors)) <= set(trained_on[0])
    assert not set(corpus.texts(corpus.heldout)) & set(trained_on[0])


def test_damaged_tokenizer_is_trained_again(tmp_path: Path) -> None:
    corpus = made(tmp_path, *TEXTS)
    settings = TokenizerConfig(vocabulary_size=300)
    before = tokenizer_for(corpus, settings, 0, tmp_path).get_vocab()
    (path,) = (tmp_path / "tokenizers").glob("*/tokenizer.json")
    path.write_text("{")
    assert tokenizer_for(corpus, settings, 0, tmp_path).get_vocab() == before


def test_heldout_text_of_unknown_tokens_is_refused(tmp_path: Path) -> None:
    latin = [f"plain words number {i}" for i in range(30)]
    chinese = [f"\u6211\u559c\u6b22{chr(0x4E00 + i)}" for i in range(30)]
    corpus = made(tmp_path, *latin, *chinese, minimum_words=1, heldout=0.5, anchors=2)
    settings = TokenizerConfig(vocabulary_size=300, sample_documents=3, max_unknown_rate=0.01)
    with pytest.raises(DataError, match="unknown to the tokenizer"):
        tokenizer_for(corpus, settings, 0, tmp_path)


def test_tokens_of_the_corpus_have_its_rows_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = made(tmp_path, *TEXTS)
    tokenizer = tokenizer_for(corpus, TokenizerConfig(vocabulary_size=300), 0, tmp_path)
    store = corpus_tokens(corpus, tokenizer, tmp_path, 6)
    assert len(store) == len(corpus)
    for row in (0, 41, 59):
        text = corpus.texts([row])[0]
        alone = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert store[row].tolist() == alone[:6]
    monkeypatch.setattr(Corpus, "texts", lambda self, rows: pytest.fail("tokenized again"))
    assert corpus_tokens(corpus, tokenizer, tmp_path, 6).directory == store.directory


def test_tokenizer_does_not_depend_on_the_number_of_agents(tmp_path: Path) -> None:
    corpora = [made(tmp_path, *TEXTS, agents=agents) for agents in (5, 1)]
    tokenizers = [tokenizer_for(corpus, TokenizerConfig(), 3, tmp_path) for corpus in corpora]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
