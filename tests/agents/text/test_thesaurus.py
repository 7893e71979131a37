from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from agents.text.thesaurus import Thesaurus, _hashes, _nearest, _vectors
from agents.text.tokens import key_of
from agents.text.vocabulary import Vocabulary


def synonyms(thesaurus: Thesaurus, tokenizer: Any, word: str) -> list[str]:
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    return [tokenizer.decode(found) for found in thesaurus.synonyms(key_of(np.array(ids)))]


@pytest.fixture(scope="module")
def learnt(documents: Any, tokenizer: Any) -> Thesaurus:
    return Thesaurus(Vocabulary(tokenizer), documents, np.arange(len(documents)))


def test_synonyms_are_words_of_the_same_topic(
    learnt: Thesaurus, tokenizer: Any, sentences: tuple[str, ...]
) -> None:
    topics: list[set[str]] = [set(), set(), set(), set()]
    for index, text in enumerate(sentences):
        topics[index % 4] |= set(text.split()) - {"and"}
    for topic in topics:
        for word in topic:
            found = synonyms(learnt, tokenizer, word)
            assert word not in found
            assert len(set(found[:3]) & topic) >= 2


def test_thesaurus_is_the_same_every_time_in_any_thread(
    learnt: Thesaurus, documents: Any, tokenizer: Any
) -> None:
    again = Thesaurus(Vocabulary(tokenizer), documents, np.arange(len(documents)))
    words = [key_of(np.array([token])) for token in range(len(tokenizer))]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(again.synonyms, words))
    for word, other in zip(words, found, strict=True):
        assert [token.tolist() for token in learnt.synonyms(word)] == [t.tolist() for t in other]


def test_thesaurus_of_nothing_has_no_synonyms(documents: Any, tokenizer: Any) -> None:
    empty = Thesaurus(Vocabulary(tokenizer), documents, np.zeros(0, dtype=np.int64))
    assert synonyms(empty, tokenizer, "wave") == []


def test_vectors_equal_those_of_a_slow_reference() -> None:
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    counts = rng.poisson(0.7, size=(30, 30))
    counts = counts + counts.T
    total, context = counts.sum(), counts.sum(axis=0) ** 0.75
    table = np.zeros((30, 30))
    for i in range(30):
        for j in range(30):
            if counts[i, j]:
                joint, word = counts[i, j] / total, counts[i].sum() / total
                table[i, j] = max(0.0, np.log(joint / (word * context[j] / context.sum())))
    left, values, _ = np.linalg.svd(table)
    slow = left * np.sqrt(values)
    slow /= np.linalg.norm(slow, axis=1, keepdims=True)
    found = _vectors(csr_array(counts.astype(float)))
    np.testing.assert_allclose(found @ found.T, slow @ slow.T, atol=1e-9)


def test_sparse_and_dense_decompositions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse import csr_array

    counts = np.random.default_rng(0).poisson(0.3, size=(90, 90)).astype(float)
    counts = csr_array(counts + counts.T)
    monkeypatch.setattr("agents.text.thesaurus._DIMENSIONS", 12)
    dense = _vectors(counts)
    monkeypatch.setattr("agents.text.thesaurus._DENSE", 10)
    sparse = _vectors(counts)
    np.testing.assert_allclose(sparse @ sparse.T, dense @ dense.T, atol=1e-7)


def test_nearest_equal_a_slow_search() -> None:
    vectors = np.random.default_rng(0).standard_normal((700, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = _nearest(vectors)
    for word in range(0, 700, 97):
        others = [i for i in range(700) if i != word]
        slow = sorted(others, key=lambda i: -float(vectors[i] @ vectors[word]))[:10]
        assert found[word].tolist() == slow


def test_hashes_are_equal_for_equal_words_alone() -> None:
    tokens = np.array([5, 6, 5, 6, 6, 5, 5, 5, 6])
    starts = np.array([0, 2, 4, 6, 7])
    words = [part.tolist() for part in np.split(tokens, starts[1:])]
    hashes = _hashes(tokens, starts).tolist()
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            assert (one == other) == (hashes[i] == hashes[j])


def test_rows_and_tokens_are_bounded(
    documents: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.text.thesaurus._DOCUMENTS", 10)
    monkeypatch.setattr("agents.text.thesaurus._TOKENS", 60)
    bounded = Thesaurus(Vocabulary(tokenizer), documents, np.arange(len(documents)))
    sample = bounded._sample()
    assert sum(map(len, sample)) == 60
    assert np.array_equal(sample[0], documents[0])
    assert np.array_equal(sample[1], documents[17])
