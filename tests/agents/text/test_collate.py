from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from agents.text.collate import Collator, EpochReader, take, whole
from protocols.errors import ModelError

CPU = torch.device("cpu")
STREAMS = {
    "rows": st.integers(1, 30),
    "start": st.integers(0, 100),
    "counts": st.lists(st.integers(0, 30), max_size=6),
    "seed": st.integers(0, 5),
}


@given(**STREAMS)
def test_reader_equals_take_at_any_position(rows, start, counts, seed):
    values = np.arange(100, 100 + rows)
    reader = EpochReader(values, seed, "private", 3)
    for count in counts:
        count = min(count, rows)
        expected = take(values, start, count, seed, "private", 3)
        np.testing.assert_array_equal(reader.read(start, count), expected)
        start += count


@given(**STREAMS)
def test_take_from_any_position_continues_what_was_read_before(rows, start, counts, seed):
    values = np.arange(rows)
    read_through = take(values, 0, start + sum(counts), seed, "x")
    parts, position = [], start
    for count in counts:
        parts.append(take(values, position, count, seed, "x"))
        position += count
    np.testing.assert_array_equal(np.concatenate([values[:0], *parts]), read_through[start:])


@given(rows=st.integers(1, 40), seed=st.integers(0, 5))
def test_take_covers_every_row_once_in_each_epoch(rows, seed):
    values = np.arange(rows) * 7
    stream = take(values, 0, 3 * rows, seed, "x").reshape(3, rows)
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(values, (3, 1)))


def test_take_orders_epochs_seeds_and_names_differently():
    rows = np.arange(50)
    orders = [
        take(rows, 0, 50, 0, "a"),
        take(rows, 50, 50, 0, "a"),
        take(rows, 0, 50, 1, "a"),
        take(rows, 0, 50, 0, "b"),
        take(rows, 0, 50, 0, "a", 1),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_reader_without_rows_reads_none():
    assert len(EpochReader(np.arange(0), 0, "anchors").read(0, 0)) == 0


@given(rows=st.integers(1, 30), count=st.integers(1, 30), seed=st.integers(0, 3))
def test_whole_reads_never_hold_a_row_twice_and_skip_less_than_a_read(rows, count, seed):
    count = min(count, rows)
    values, position, per_epoch = np.arange(rows), 0, {}
    for _ in range(12):
        start = whole(position, count, rows)
        assert 0 <= start - position < count
        read = take(values, start, count, seed, "x")
        assert len(set(read)) == count
        per_epoch.setdefault(start // rows, []).extend(read)
        position = start + count
    full = [read for epoch, read in sorted(per_epoch.items())[:-1]]
    assert all(len(read) == rows // count * count == len(set(read)) for read in full)


def test_whole_of_nothing_stays_where_it_is():
    assert whole(0, 0, 0) == 0
    assert whole(7, 0, 5) == 7


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
