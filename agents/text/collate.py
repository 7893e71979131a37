"""Padding of texts, or pairs of texts, into batches with a tokenizer's special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.text.tokens import Text
from protocols.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Padded:
    """A padded batch in CPU memory; see `agents.text.batch.Batch`.

    Attributes:
        input_ids: `[B, T]` int64.
        attention_mask: `[B, T]` int64, 1 at tokens that are attended to.
        lengths: `[B]` tokens of each text, special tokens included.
        token_type_ids: `[B, T]` int64, 1 in the second text of a pair; None if there are no pairs.
        infill: `[B, T]` bool, mask tokens for the agent's language model to replace; None if there is none.
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    lengths: np.ndarray
    token_type_ids: np.ndarray | None = None
    infill: np.ndarray | None = None


def joined(batches: Sequence[Padded]) -> Padded:
    """Return single texts of several batches as one, the rows of the first before those of the second.

    Example:
        >>> one, two = (Padded(np.ones((1, n)), np.ones((1, n)), np.array([n])) for n in (2, 3))
        >>> joined([one, two]).attention_mask.astype(int).tolist()
        [[1, 1, 0], [1, 1, 1]]
    """
    width = max(each.input_ids.shape[1] for each in batches)

    def rows(arrays: Sequence[np.ndarray]) -> np.ndarray:
        padded = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in arrays)
        return np.concatenate(list(padded))

    return Padded(
        rows([each.input_ids for each in batches]),
        rows([each.attention_mask for each in batches]),
        np.concatenate([each.lengths for each in batches]),
    )


class Collator:
    """Adds a tokenizer's special tokens to texts or pairs and pads them to the longest of the batch.

    Args:
        tokenizer: its special tokens and padding token are read once.
        max_length: tokens of a text, special tokens included.

    Attributes:
        prefix, suffix: special tokens before and after a text.
        end_token: the end-of-text token, which decoders learn to predict; None if the tokenizer has none.

    Raises:
        ModelError: `max_length` leaves no room for text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.prefix, self.suffix = _special_tokens(tokenizer)
        self._frame = _pair_frame(tokenizer, self.prefix, self.suffix)
        self.padding_id = int(tokenizer.pad_token_id or 0)  # masked out, so any token serves
        self.end_token: int | None = self.suffix[0] if self.suffix else tokenizer.eos_token_id
        self.max_length = max_length
        self.budget = max_length - len(self.prefix) - len(self.suffix)
        if self.budget < 1:
            raise ModelError(
                "training.max_length leaves no room for text",
                expected=f"more than {len(self.prefix) + len(self.suffix)} tokens",
                actual=max_length,
                hint="raise training.max_length",
            )

    @property
    def special_count(self) -> int:
        """Number of special tokens added to each text."""
        return len(self.prefix) + len(self.suffix)

    def __call__(self, texts: Sequence[Text | np.ndarray]) -> Padded:
        """Pad texts or token arrays; each is cut at the budget.

        A text without any token, special ones included, is read as its end: an encoder needs one token.
        """
        lengths = np.array([min(len(text), self.budget) + self.special_count for text in texts])
        empty = lengths == 0
        lengths[empty] = 1
        ids = np.full((len(texts), int(lengths.max())), self.padding_id, dtype=np.int64)
        mask = (np.arange(ids.shape[1])[None, :] < lengths[:, None]).astype(np.int64)
        infill = np.zeros(ids.shape, dtype=bool)
        first = len(self.prefix)
        ids[:, :first] = self.prefix
        ids[empty, 0] = self.padding_id if self.end_token is None else self.end_token
        for row, text, length in zip(range(len(texts)), texts, lengths.tolist(), strict=True):
            if empty[row]:
                continue
            end = length - len(self.suffix)
            ids[row, end:length] = self.suffix
            if not isinstance(text, Text):
                ids[row, first:end] = text[: end - first]
                continue
            ids[row, first:end] = text.tokens[: end - first]
            if text.hidden is not None:
                mask[row, first:end][text.hidden[: end - first]] = 0
            if text.infill is not None:
                infill[row, first:end] = text.infill[: end - first]
        return Padded(ids, mask, lengths, infill=infill if infill.any() else None)

    @property
    def pair_budget(self) -> int:
        """Maximum tokens of the two texts of a pair together.

        Raises:
            ModelError: fewer than two.
        """
        around = sum(map(len, self._frame.special))
        if self.max_length < around + 2:
            raise ModelError(
                "training.max_length leaves no room for pairs of texts",
                expected=f"at least {around + 2} tokens",
                actual=self.max_length,
                hint="raise training.max_length",
            )
        return self.max_length - around

    def pair(self, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Padded:
        """Frame and pad pairs of texts as the tokenizer frames pairs; the longer text is cut at its end.

        A tokenizer that frames single texts only (``[CLS] a [SEP]``) is taken to frame pairs likewise,
        ``[CLS] a [SEP] b [SEP]``; for one without special tokens the end-of-text token separates the two.

        Args:
            first, second: token ids `[T]` of the texts of each pair, without special tokens.
        """
        before, between, after = self._frame.special
        budget, rows, types = self.pair_budget, [], []
        for a, b in zip(first, second, strict=True):
            m, n = split_budget(len(a), len(b), budget)
            parts = (before, a[:m], between, b[:n], after)
            rows.append(np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]))
            types.append(np.repeat(self._frame.types, [len(part) for part in parts]))
        lengths = np.array([len(row) for row in rows])
        mask = (np.arange(int(lengths.max()))[None, :] < lengths[:, None]).astype(np.int64)
        ids = np.full(mask.shape, self.padding_id, dtype=np.int64)
        token_types = np.zeros(mask.shape, dtype=np.int64)
        ids[mask == 1], token_types[mask == 1] = np.concatenate(rows), np.concatenate(types)
        return Padded(ids, mask, lengths, token_types)


def split_budget(first: int, second: int, budget: int) -> tuple[int, int]:
    """Return how many tokens of two texts fit a budget, cutting the longer one first.

    Example:
        >>> split_budget(3, 9, 8), split_budget(9, 9, 8), split_budget(2, 3, 8)
        ((3, 5), (4, 4), (2, 3))
    """
    kept = min(second, max(budget // 2, budget - first))
    return min(first, budget - kept), kept


class _PairFrame(NamedTuple):
    """The special tokens before, between and after two texts, and the types of the five parts."""

    special: tuple[Sequence[int], Sequence[int], Sequence[int]]
    types: tuple[int, ...] = (0, 0, 0, 1, 1)


def _pair_frame(
    tokenizer: PreTrainedTokenizerBase, prefix: list[int], suffix: list[int]
) -> _PairFrame:
    """Read a tokenizer's frame of a pair off an example; see `Collator.pair` for the substitute."""
    encoded = tokenizer("a", "a", return_special_tokens_mask=True, return_token_type_ids=True)
    ids, types = encoded["input_ids"], encoded["token_type_ids"]
    inner = [index for index, flag in enumerate(encoded["special_tokens_mask"]) if not flag]
    if len(inner) in (0, len(ids)):
        end = tokenizer.eos_token_id
        between = suffix or ([] if end is None else [end])
        return _PairFrame((prefix, between, suffix))
    half = len(inner) // 2  # both texts are "a", so each has half of the ordinary tokens
    a, b, c, d = inner[0], inner[half - 1] + 1, inner[half], inner[-1] + 1
    # An empty part takes the type of the token that follows; it is repeated zero times anyway.
    own = tuple(types[min(place, len(ids) - 1)] for place in (0, a, b, c, d))
    return _PairFrame((ids[:a], ids[b:c], ids[d:]), own)


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Read the special tokens before and after a text off an example."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    inner = [index for index, flag in enumerate(special) if not flag]
    if not inner:  # "a" became [UNK], which is special too; such a tokenizer is refused elsewhere
        middle = len(ids) // 2
        return list(ids[:middle]), list(ids[middle + 1 :])
    return list(ids[: inner[0]]), list(ids[inner[-1] + 1 :])
