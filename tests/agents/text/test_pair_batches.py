"""Pairs of texts, framed as the tokenizer itself frames them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from agents.models.encoder import Encoder
from agents.text.collate import Collator, split_budget
from protocols.errors import ModelError

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
BERT = {
    "single": "<s> $A </s>",
    "pair": "<s> $A </s> $B:1 </s>:1",
    "special_tokens": [("<s>", 1), ("</s>", 2)],
}
ROBERTA = {**BERT, "pair": "<s> $A </s> </s> $B </s>"}
FIRST, SECOND = "a b c", "c d e f"


def make(template=None, **special):
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *"abcdefgh"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if template is not None:
        backend.post_processor = processors.TemplateProcessing(**template)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", **special
    )


def ids(tokenizer, text):
    return np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"])


def pair(tokenizer, *pairs, max_length=32):
    first, second = zip(*pairs, strict=True)
    return Collator(tokenizer, max_length).pair(
        [ids(tokenizer, text) for text in first], [ids(tokenizer, text) for text in second]
    )


@pytest.mark.parametrize("template", [BERT, ROBERTA], ids=["bert", "roberta"])
def test_pairs_equal_those_of_a_tokenizer_with_a_template_for_them(template):
    tokenizer = make(template)
    pairs = [(FIRST, SECOND), ("a", "b"), ("a b c d e", "f")]
    expected = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="np")
    actual = pair(tokenizer, *pairs)
    np.testing.assert_array_equal(actual.input_ids, expected["input_ids"])
    np.testing.assert_array_equal(actual.attention_mask, expected["attention_mask"])
    np.testing.assert_array_equal(actual.lengths, expected["attention_mask"].sum(axis=1))
    types = tokenizer(
        *map(list, zip(*pairs, strict=True)), padding=True, return_token_type_ids=True
    )
    np.testing.assert_array_equal(actual.token_type_ids, types["token_type_ids"])


@pytest.mark.parametrize(
    ("tokenizer", "expected", "types"),
    [
        (make({k: v for k, v in BERT.items() if k != "pair"}), [1, 4, 5, 6, 2, 6, 7, 8, 9, 2], 5),
        (make(eos_token="</s>"), [4, 5, 6, 2, 6, 7, 8, 9], 4),
        (make(), [4, 5, 6, 6, 7, 8, 9], 3),
    ],
    ids=["framed alone", "bare with an end token", "bare"],
)
def test_pairs_of_a_tokenizer_without_a_template_are_framed_as_documented(
    tokenizer, expected, types
):
    actual = pair(tokenizer, (FIRST, SECOND))
    assert actual.input_ids.tolist() == [expected]
    assert actual.token_type_ids.tolist() == [[0] * types + [1] * (len(expected) - types)]


def test_the_longer_text_of_a_pair_is_cut_at_its_end():
    tokenizer = make(BERT)
    actual = pair(tokenizer, ("a b c d e", "f g"), ("a", "b c d e f g"), max_length=8)
    assert actual.input_ids.tolist() == [[1, 4, 5, 6, 2, 9, 10, 2], [1, 4, 2, 5, 6, 7, 8, 2]]
    assert actual.token_type_ids.tolist() == [[0] * 5 + [1] * 3, [0] * 3 + [1] * 5]


@given(first=st.integers(1, 40), second=st.integers(1, 40), budget=st.integers(2, 40))
def test_share_takes_tokens_one_by_one_from_the_longer_text(first, second, budget):
    a, b = first, second
    while a + b > budget:
        a, b = (a - 1, b) if a > b or (a == b and budget % 2 == 0) else (a, b - 1)
    kept = split_budget(first, second, budget)
    assert sum(kept) == a + b
    assert max(abs(kept[0] - a), abs(kept[1] - b)) <= 1
    assert min(kept) >= 1


def test_pairs_without_room_for_two_tokens_are_refused():
    with pytest.raises(ModelError, match="pairs") as error:
        pair(make(ROBERTA), (FIRST, SECOND), max_length=5)
    assert error.value.hint


def test_backbones_without_two_types_are_given_none():
    size = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8}
    backbones = [
        RobertaModel(RobertaConfig(vocab_size=12, intermediate_size=8, type_vocab_size=1, **size)),
        GPT2Model(GPT2Config(vocab_size=12, n_embd=8, n_layer=1, n_head=2)),
    ]
    tokens = torch.tensor([[1, 4, 2, 5, 2]])
    types = torch.tensor([[0, 0, 0, 1, 1]])
    for backbone in backbones:
        encoder = Encoder(backbone).eval()
        typed = encoder(tokens, torch.ones_like(tokens), types)
        torch.testing.assert_close(typed, encoder(tokens, torch.ones_like(tokens)))
