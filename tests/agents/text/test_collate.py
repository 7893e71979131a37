from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from agents.text.collate import Collator
from protocols.errors import ModelError


def gpt2_like() -> PreTrainedTokenizerFast:
    """Byte-level, with an end-of-text token that frames nothing."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "<|endoftext|>"])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def bos_only(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """As Llama's: a token before the text, none after it."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    cls = ("[CLS]", backend.token_to_id("[CLS]"))
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[cls])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    )


@pytest.fixture(params=["bert", "gpt2", "bos"])
def any_tokenizer(request, tokenizer):
    return {"bert": lambda: tokenizer, "gpt2": gpt2_like, "bos": lambda: bos_only(tokenizer)}[
        request.param
    ]()


TEXTS = ["wave", "tide ship harbour salt fish net storm", "a", "moon wind comet orbit"]


@pytest.mark.parametrize("max_length", [3, 6, 64])
def test_collator_frames_cuts_and_pads_as_the_tokenizer_itself(any_tokenizer, max_length):
    tokenizer = any_tokenizer
    expected = tokenizer(
        TEXTS, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    plain = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    collate = Collator(tokenizer, max_length)
    batch = collate([np.asarray(ids, dtype=np.int32) for ids in plain])
    np.testing.assert_array_equal(batch.input_ids, expected["input_ids"].numpy())
    np.testing.assert_array_equal(batch.attention_mask, expected["attention_mask"].numpy())
    np.testing.assert_array_equal(batch.lengths, expected["attention_mask"].sum(dim=1).numpy())
    assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), max_length=st.integers(3, 15))
def test_collator_keeps_every_text_up_to_its_budget(tokenizer, lengths, max_length):
    texts = [np.arange(100, 100 + length) for length in lengths]
    batch = Collator(tokenizer, max_length)(texts)
    width = min(max_length, max(lengths) + 2)
    assert batch.input_ids.shape == (len(texts), width)
    for row, mask, text in zip(batch.input_ids, batch.attention_mask, texts, strict=True):
        kept = text[: max_length - 2].tolist()
        framed = [tokenizer.cls_token_id, *kept, tokenizer.sep_token_id]
        assert row.tolist() == framed + [tokenizer.pad_token_id] * (width - len(framed))
        assert mask.tolist() == [1] * len(framed) + [0] * (width - len(framed))


def test_collator_refuses_a_length_without_room_for_text(tokenizer):
    assert Collator(tokenizer, 3).budget == 1
    with pytest.raises(ModelError, match="no room for text") as error:
        Collator(tokenizer, 2)
    assert error.value.expected == "more than 2 tokens"
    assert error.value.actual == "2"
    assert error.value.hint


def test_collator_leaves_the_documents_as_they_were(tokenizer):
    text = np.arange(100, 110)
    text.setflags(write=False)
    Collator(tokenizer, 6)([text, text[:3]])
    np.testing.assert_array_equal(text, np.arange(100, 110))
