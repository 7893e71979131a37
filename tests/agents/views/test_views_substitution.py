from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.text.thesaurus import Thesaurus
from agents.text.tokens import Text, key_of
from agents.text.vocabulary import Vocabulary
from agents.views import CharacterNoise, Setting, WordReplacement
from protocols.errors import ModelError

LEXICON = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
  <Lexicon id="small" label="A few words" language="en" email="a@b.c" license="none" version="1">
    {entries}
    <Synset id="small-1" ili="" partOfSpeech="n" />
  </Lexicon>
</LexicalResource>
"""
ENTRY = """<LexicalEntry id="small-e{i}"><Lemma writtenForm="{form}" partOfSpeech="n"/>
  <Sense id="small-s{i}" synset="small-1"/></LexicalEntry>"""


@pytest.fixture
def place(documents: Any, tokenizer: Any) -> Setting:
    vocabulary = Vocabulary(tokenizer)
    return Setting(30, vocabulary, Thesaurus(vocabulary, documents, np.arange(len(documents))))


@pytest.fixture
def wordnet(tmp_path: Path) -> Iterator[Any]:
    """A database of words in which ship, boat and barn mean the same, and tall ship too."""
    wn = pytest.importorskip("wn")
    before = wn.config.data_directory
    wn.config.data_directory = tmp_path / "database"
    wn.config.allow_multithreading = True
    yield wn
    for connection in wn._db.pool.values():
        connection.close()
    wn._db.pool.clear()
    wn.config.data_directory = before


def add(wn: Any, folder: Path) -> None:
    forms = ("ship", "boat", "barn", "tall ship")
    entries = (ENTRY.format(i=i, form=form) for i, form in enumerate(forms))
    path = folder / "small.xml"
    path.write_text(LEXICON.format(entries="\n".join(entries)), encoding="utf-8")
    wn.add(path, progress_handler=None)


def text_of(tokenizer: Any, *sentences: str) -> Text:
    parts = [tokenizer(s, add_special_tokens=False)["input_ids"] for s in sentences]
    return Text(np.concatenate(parts), np.cumsum([0, *map(len, parts)])[:-1])


def test_synonyms_replace_the_stated_share_of_words(
    place: Setting, documents: Any, tokenizer: Any
) -> None:
    rng, view = np.random.default_rng(0), WordReplacement(p=0.3, choices=3)
    assert place.thesaurus is not None
    replaced = total = 0
    for tokens in documents:
        other = view.apply(Text.of(tokens), place, rng).tokens
        for old, new in zip(tokens, other, strict=True):  # words of one token each
            near = [int(w[0]) for w in place.thesaurus.synonyms(key_of(np.array([old])))[:3]]
            assert new == old or new in near
            replaced += new != old
            total += bool(near)
    # Binomial: five standard deviations.
    assert abs(replaced - 0.3 * total) < 5 * np.sqrt(0.21 * total)


def test_longer_word_moves_sentences_and_keeps_marks(tokenizer: Any) -> None:
    text = text_of(tokenizer, "wave tide", "ship sail")
    marks = np.array([True, False, False, True])
    text = text.with_hidden(marks)
    long = tokenizer("zzz", add_special_tokens=False)["input_ids"]
    assert len(long) == 3
    other = text.with_words(np.arange(4), [0, 2], [np.array(long), np.array([9])])
    assert other.tokens.tolist() == [*long, text.tokens[1], 9, text.tokens[3]]
    assert other.sentences.tolist() == [0, 4]
    assert other.hidden is not None
    assert other.hidden.tolist() == [True, True, True, False, False, True]
    back = other.with_words(np.array([0, 3, 4, 5]), [0], [text.tokens[:1]])
    assert back.sentences.tolist() == [0, 2]


def test_wordnet_gives_single_words_of_the_same_synset(
    place: Setting, tokenizer: Any, wordnet: Any, tmp_path: Path
) -> None:
    add(wordnet, tmp_path)
    view, rng = WordReplacement(p=1.0, source="wordnet"), np.random.default_rng(0)
    view.check(place)
    text = text_of(tokenizer, "wave ship", "tide")
    found = {tokenizer.decode(view.apply(text, place, rng).tokens) for _ in range(40)}
    boat = tokenizer.decode(tokenizer("boat", add_special_tokens=False)["input_ids"])
    assert found == {f"wave {boat} tide", "wave barn tide"}


def test_missing_wordnet_is_refused_with_the_hint(place: Setting, wordnet: Any) -> None:
    with pytest.raises(ModelError, match=r"python -m wn download oewn:2024"):
        WordReplacement(source="wordnet").check(place)
    WordReplacement(source="thesaurus").check(place)


def test_masked_lm_leaves_single_tokens_blank(place: Setting, tokenizer: Any) -> None:
    text = text_of(tokenizer, "wave zz ship", "tide")
    view = WordReplacement(p=1.0, source="masked_lm")
    other = view.apply(text, place, np.random.default_rng(0))
    assert other.infill is not None
    assert other.infill.tolist() == [True, False, False, True, True]
    assert (other.tokens[other.infill] == tokenizer.mask_token_id).all()
    assert (other.tokens[~other.infill] == text.tokens[~other.infill]).all()
    assert view.needs_infilling
    assert not WordReplacement().needs_infilling


def test_blanks_need_a_mask_token() -> None:
    class Maskless:
        def mask(self) -> int:
            raise ModelError("no mask token")

    vocabulary: Any = Maskless()
    with pytest.raises(ModelError, match="mask token"):
        WordReplacement(source="masked_lm").check(Setting(9, vocabulary))


def test_noise_misspells_the_stated_share_of_words(place: Setting, documents: Any) -> None:
    rng, view = np.random.default_rng(0), CharacterNoise(p=0.3)
    misspelt = total = 0
    for tokens in documents[:100]:
        before = spelt(place.vocabulary, tokens)
        after = spelt(place.vocabulary, view.apply(Text.of(tokens), place, rng).tokens)
        assert len(before) == len(after)
        misspelt += sum(a != b for a, b in zip(before, after, strict=True))
        total += len(before)
    assert abs(misspelt - 0.3 * total) < 5 * np.sqrt(0.21 * total)


def spelt(vocabulary: Vocabulary, tokens: np.ndarray) -> list[str | None]:
    words = np.split(tokens, vocabulary.words(tokens)[1:])
    return [vocabulary.word_codec.decode(key_of(word)) for word in words]
