from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentos.data.cleaning import minhash
from agentos.data.cleaning.clean import clean
from agentos.data.cleaning.config import NearDuplicates
from agentos.data.cleaning.minhash import shingles, signatures, word_hashes
from agentos.data.cleaning.near_duplicates import band_rows, repeats
from agentos.data.scripts import words
from agentos.data.store.npy import NpyWriter
from protocols.seeding import generator

WORDS = [f"word{number}" for number in range(400)]


def text_of(rng: np.random.Generator, length: int = 200) -> list[str]:
    return [WORDS[i] for i in rng.integers(len(WORDS), size=length)]


def shingle_set(text: str, size: int) -> set[tuple[str, ...]]:
    own = words(text.casefold())
    return {tuple(own[i : i + size]) for i in range(max(1, len(own) - size + 1))}


def repeated(near: NearDuplicates, texts: list[str], folder: Path) -> list[bool]:
    with NpyWriter(folder / "signatures.npy", np.uint32, near.permutations) as writer:
        writer.append(signatures(texts, near))
    flags: list[bool] = repeats(folder / "signatures.npy", near).tolist()
    return flags


MIXED = st.text(
    st.sampled_from("abcDé 你好の\u0e01\u0e34\u0e30\u0f0b\u1780\u17b6\U00020000\n"), max_size=30
).map(clean)


@given(st.lists(MIXED, min_size=1, max_size=6), st.integers(1, 4))
def test_shingles_are_those_of_a_slow_count(texts: list[str], size: int) -> None:
    hashes, starts = shingles(texts, size)
    own = [set(hashes[a:b].tolist()) for a, b in pairwise([*starts, len(hashes)])]
    expected = [shingle_set(text, size) for text in texts]
    assert [len(held) for held in own] == [len(held) for held in expected]
    for i in range(len(texts)):
        for j in range(i):
            assert len(own[i] & own[j]) == len(expected[i] & expected[j])


@given(st.lists(MIXED, min_size=1))
def test_equal_words_have_equal_hashes(texts: list[str]) -> None:
    hashes, counts = word_hashes(texts)
    flat = [word for text in texts for word in words(text)]
    assert counts.tolist() == [len(words(text)) for text in texts]
    assert len(hashes) == len(flat)
    known = dict(zip(flat, hashes.tolist(), strict=True))
    assert [known[word] for word in flat] == hashes.tolist()
    assert len(set(known.values())) == len(known)


def test_signatures_equal_those_of_datasketch() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(text_of(rng, length)) for length in (5, 40, 300)]
    near = NearDuplicates(permutations=16)
    draws = generator(0, "minhash", 16)
    a = draws.integers(2**31, size=16, dtype=np.uint32) * 2 + 1
    b = draws.integers(2**32, size=16, dtype=np.uint32)
    # Its finalizer is a bijection of the 32-bit numbers: undone beforehand, what is left is ours.
    hashes, starts = shingles(texts, near.shingle_words)
    for text, (begin, end) in enumerate(pairwise([*starts, len(hashes)])):
        own = hashes[begin:end]
        sketch = datasketch.MinHash(num_perm=16, permutations=(a, b), scheme="affine32")
        sketch.hashvalues = (own[:, None] * a + b).min(axis=0)
        assert signatures(texts, near)[text].tolist() == sketch.digest().tolist()


@pytest.mark.parametrize("changed", [2, 10, 30])
def test_estimates_are_those_of_datasketch_and_of_the_sets(changed: int) -> None:
    rng = np.random.default_rng(changed)
    first = text_of(rng, 600)
    second = [*first[:-changed], *text_of(rng, changed)]
    for place in rng.choice(500, size=changed, replace=False):
        second[place] = "other"
    pair = [" ".join(first), " ".join(second)]
    near = NearDuplicates(permutations=1024)
    ours = float(np.equal(*signatures(pair, near)).mean())
    sets = [shingle_set(text, near.shingle_words) for text in pair]
    exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    sketches = [datasketch.MinHash(num_perm=1024) for _ in pair]
    for sketch, held in zip(sketches, sets, strict=True):
        sketch.update_batch([" ".join(shingle).encode() for shingle in held])
    # Standard error of both: at most sqrt(1/4 / 1024) = 0.016.
    assert abs(ours - exact) < 0.06
    assert abs(ours - sketches[0].jaccard(sketches[1])) < 0.09


def test_first_of_similar_documents_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    one, two = text_of(rng), text_of(rng)
    changed = [*one[:100], "new", *one[101:]]  # 5 of 196 shingles differ: 191 / 201 in common
    texts = [" ".join(text) for text in (one, two, changed, [w.upper() for w in two], one[::-1])]
    assert repeated(NearDuplicates(), texts, tmp_path) == [False, False, True, True, False]
    assert repeated(NearDuplicates(threshold=0.99), texts, tmp_path)[2] is False


def test_chinese_is_compared_by_characters(tmp_path: Path) -> None:
    long = "".join(chr(0x4E00 + 7 * i) for i in range(200))
    texts = [long, long[:150] + "的" + long[151:], long[::-1]]
    assert repeated(NearDuplicates(), texts, tmp_path) == [False, True, False]


def test_chain_of_similar_documents_leaves_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    texts = [text_of(rng, 400)]
    for place in range(0, 300, 50):
        texts.append([*texts[-1][:place], "new", *texts[-1][place + 1 :]])
    flags = repeated(NearDuplicates(), [" ".join(text) for text in texts], tmp_path)
    assert flags == [False, *[True] * 6]


def test_long_text_in_pieces_is_compared_like_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    text = " ".join(text_of(rng, 2000))
    whole = signatures([text, "short one"], NearDuplicates())
    monkeypatch.setattr(minhash, "PIECE_CHARACTERS", 3000)
    pieces = signatures([text, "short one"], NearDuplicates())
    assert np.mean(whole[0] == pieces[0]) > 0.9
    np.testing.assert_array_equal(whole[1], pieces[1])
    assert repeated(NearDuplicates(), [text, text + " more"], tmp_path) == [False, True]


@settings(max_examples=20)
@given(st.floats(0.3, 1.0), st.sampled_from([16, 64, 128]))
def test_bands_find_the_wanted_share_of_pairs(threshold: float, permutations: int) -> None:
    near = NearDuplicates(threshold=threshold, permutations=permutations)
    rows = band_rows(near)

    def found(places: int) -> float:
        return 1 - float((1 - threshold**places) ** (permutations // places))

    assert found(rows) >= 0.99 or rows == 1
    assert all(found(more) < 0.99 for more in range(rows + 1, permutations + 1))


def test_no_documents_have_no_near_duplicates(tmp_path: Path) -> None:
    with NpyWriter(tmp_path / "signatures.npy", np.uint32, 64):
        pass
    assert repeats(tmp_path / "signatures.npy", NearDuplicates()).tolist() == []
