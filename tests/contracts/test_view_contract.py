"""The contract of every view in the table, shipped or added: see CONTRIBUTING."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.text.thesaurus import Thesaurus
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.views import (
    VIEWS,
    CharacterNoise,
    Crop,
    Dropout,
    Setting,
    TokenCutoff,
    View,
    WordDeletion,
    WordReplacement,
    WordSwap,
    compose,
)

TOKENS = st.integers(1, 200)
BUDGETS = st.integers(1, 64)
SEEDS = st.integers(0, 2**32)
EXTRA = [
    Crop(shortest=1.0, longest=1.0),
    Crop(shortest=0.001, longest=0.001),
    WordDeletion(p=1.0),
    WordSwap(p=1.0),
    TokenCutoff(p=1.0),
    CharacterNoise(p=1.0),
    WordReplacement(p=1.0),
    WordReplacement(p=1.0, source="masked_lm"),
]
ALL = [*(cls() for cls in VIEWS.values()), *EXTRA]


@pytest.fixture(params=ALL, ids=repr, scope="module")
def view(request) -> View:
    return request.param


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="session")
def wide_vocabulary() -> Vocabulary:
    """1,300 tokens: specials, pieces that go on with a word, and from the 400th on whole words."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pairs = [a + b for a in LETTERS for b in LETTERS]
    names = [*special, *(f"##{pair}" for pair in pairs[:395]), *pairs, *(f"{p}s" for p in pairs)]
    vocabulary = {name: i for i, name in enumerate(names[:1300])}
    return Vocabulary(
        PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")),
            mask_token="[MASK]",
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
        )
    )


class Documents(list):
    """Token ids in memory, as a store of tokens; a sentence every seven tokens."""

    def sentences(self, row):
        return np.arange(0, len(self[row]), 7)


@pytest.fixture(scope="session")
def setting(wide_vocabulary):
    documents = Documents([np.tile(np.arange(1000, 1030), 20)])
    thesaurus = Thesaurus(wide_vocabulary, documents, np.arange(1))
    # Made now, and not in a timed test.
    assert thesaurus.synonyms(b"") == ()
    assert wide_vocabulary.typos
    return lambda budget: Setting(budget, wide_vocabulary, thesaurus)


SCRIPTS = {
    "chinese": "我们在山上看见了一只鸟。山上的鸟也看见了我们,于是它飞走了。昨天下雨,今天出太阳。",
    "japanese": "東京の山で鳥を見た。ひらがなとカタカナ。空はとても青かった。",
    "mixed": "東京 Tower は 333m です。我们 like it. Été à Việt Nam, it's fine!",
}


@pytest.fixture(params=[(s, k) for s in SCRIPTS for k in ("wordpiece", "bpe")], ids="-".join)
def written(request):
    """A document in a script, its setting, and how to read a text; with a small real tokenizer."""
    script, kind = request.param
    if request.param not in TRAINED:
        from agentos.data.config import TokenizerConfig
        from agentos.data.tokenization.tokenizer import train

        config = TokenizerConfig(kind=kind, vocabulary_size=400, lowercase=False)
        TRAINED[request.param] = train([SCRIPTS[script]] * 12, config)
    tokenizer = TRAINED[request.param]
    tokens = np.array(tokenizer(SCRIPTS[script], add_special_tokens=False)["input_ids"])
    vocabulary = Vocabulary(tokenizer)
    thesaurus = Thesaurus(vocabulary, Documents([tokens] * 12), np.arange(12))
    return Text(tokens, np.arange(0, len(tokens), 9)), Setting(64, vocabulary, thesaurus), tokenizer


TRAINED = {}


def document(length: int) -> Text:
    """Distinct tokens, so that places can be told apart; writing to them raises."""
    tokens = np.arange(1000, 1000 + length, dtype=np.int32)
    tokens.setflags(write=False)
    sentences = np.arange(0, length, 7)
    sentences.setflags(write=False)
    return Text(tokens, sentences)


def same(one: Text, other: Text) -> bool:
    fields = ((one.tokens, other.tokens), (one.sentences, other.sentences))
    hidden = [np.zeros(len(t), bool) if t.hidden is None else t.hidden for t in (one, other)]
    infill = [np.zeros(len(t), bool) if t.infill is None else t.infill for t in (one, other)]
    return all(np.array_equal(a, b) for a, b in (*fields, hidden, infill))


def check_well_formed(text: Text) -> None:
    assert text.tokens.ndim == 1
    assert len(text) >= 1
    assert text.hidden is None or (len(text.hidden) == len(text) and not text.hidden.all())
    assert text.infill is None or len(text.infill) == len(text)
    assert text.sentences[0] == 0
    assert (np.diff(text.sentences) > 0).all()
    assert text.sentences[-1] < len(text)


def test_kind_is_the_key_in_the_table():
    for kind, cls in VIEWS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


@given(length=TOKENS, budget=BUDGETS, seed=SEEDS)
def test_view_never_empties_a_text(view, setting, length, budget, seed):
    variant = view.apply(document(length), setting(budget), np.random.default_rng(seed))
    check_well_formed(variant)


def test_view_works_in_scripts_without_spaces(view, written):
    text, where, tokenizer = written
    known = set(text.tokens.tolist())
    for seed in range(20):
        once, again = (view.apply(text, where, np.random.default_rng(seed)) for _ in range(2))
        check_well_formed(once)
        assert same(once, again)
        new = set(once.tokens.tolist()) - known
        special = set(tokenizer.all_special_ids) - {tokenizer.mask_token_id}
        assert not new & special
        # No character is cut in two, but at the ends of a span.
        assert "\ufffd" not in tokenizer.decode(once.tokens).strip("\ufffd")


@pytest.mark.parametrize(
    "kind", ["word_deletion", "word_swap", "word_replacement", "character_noise"]
)
def test_view_of_words_changes_texts_without_spaces(kind, written):
    text, where, _ = written
    changed = VIEWS[kind](p=0.5).apply(text, where, np.random.default_rng(0))
    assert not same(changed, text)


@given(length=TOKENS, seed=SEEDS, data=st.data())
def test_views_compose_in_any_order(setting, length, seed, data):
    views = data.draw(st.lists(st.sampled_from(ALL), min_size=2, max_size=4))
    rng = np.random.default_rng(seed)
    check_well_formed(compose(views, document(length), setting(30), rng))


@given(length=TOKENS, budget=BUDGETS, seed=SEEDS)
def test_view_is_deterministic_under_its_generator(view, setting, length, budget, seed):
    once, again = (
        view.apply(document(length), setting(budget), np.random.default_rng(seed)) for _ in range(2)
    )
    assert same(once, again)


@given(length=TOKENS, budget=BUDGETS, seed=SEEDS)
def test_view_leaves_the_document_and_global_randomness_alone(view, setting, length, budget, seed):
    text = document(length)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    view.apply(text, setting(budget), np.random.default_rng(seed))
    assert same(text, document(length))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@given(length=TOKENS, budget=BUDGETS, seed=SEEDS)
def test_view_of_a_view_is_a_view(view, setting, length, budget, seed):
    where = setting(budget)
    composed = compose((view, view), document(length), where, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    by_hand = view.apply(view.apply(document(length), where, rng), where, rng)
    assert same(composed, by_hand)


def test_specification_survives_json(view):
    assert type(view).model_validate_json(view.model_dump_json()) == view


@given(
    length=TOKENS,
    budget=BUDGETS,
    seed=SEEDS,
    bounds=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)).map(sorted),
)
def test_crop_is_contiguous_within_budget_and_of_the_stated_share(
    setting, length, budget, seed, bounds
):
    crop = Crop(shortest=bounds[0], longest=bounds[1])
    span = crop.apply(document(length), setting(budget), np.random.default_rng(seed)).tokens
    np.testing.assert_array_equal(span, np.arange(span[0], span[0] + len(span)))
    assert span[0] >= 1000
    assert span[-1] < 1000 + length
    assert len(span) <= budget
    least, most = (max(1, min(budget, round(share * length))) for share in bounds)
    assert least <= len(span) <= most


def test_crop_starts_anywhere_with_equal_probability(setting):
    crop, rng = Crop(shortest=0.5, longest=0.5), np.random.default_rng(0)
    where = setting(64)
    starts = [int(crop.apply(document(10), where, rng).tokens[0]) - 1000 for _ in range(6000)]
    counts = np.bincount(starts, minlength=6)
    # Six places, 1,000 each: five standard deviations are 145.
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 145


def test_crop_of_the_whole_document_is_the_document(setting):
    whole = Crop(shortest=1.0, longest=1.0)
    assert same(whole.apply(document(9), setting(64), np.random.default_rng(0)), document(9))


def test_crop_refuses_bounds_in_the_wrong_order():
    with pytest.raises(ValidationError, match="must not exceed"):
        Crop(shortest=0.9, longest=0.3)


def test_dropout_is_the_beginning_of_the_document_and_draws_nothing(setting):
    rng = np.random.default_rng(0)
    assert same(Dropout().apply(document(9), setting(4), rng), document(4))
    assert rng.random() == np.random.default_rng(0).random()


def test_only_dropout_relies_on_dropout():
    assert Dropout.relies_on_dropout
    assert not Crop.relies_on_dropout
