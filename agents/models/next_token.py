"""Distributions of the next token under a decoder, for texts that several decoders write or score together.

Legend: T tokens of a text, V tokens of the vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.models.generation import load_causal
from agents.text.collate import Collator

_LONGEST = 2**20


class NextToken:
    """A decoder that tells how probable each next token is.

    Args:
        model: a causal language model, in evaluation mode.
        tokenizer: its tokenizer.
        origin: digest of its weights.

    Attributes:
        vocabulary: digest of the tokens and of their numbers; decoders that write together have the same.
        flops: FLOPs spent since the decoder was built, approximately.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, origin: str
    ) -> None:
        self.tokenizer = tokenizer
        self.origin = origin
        self.vocabulary = vocabulary_digest(tokenizer)
        self.flops = 0.0
        self._model = model
        self._collate = Collator(tokenizer, _LONGEST)
        self._past: Any = None
        self._length = 0
        self._cost = _Cost.of(model)

    @classmethod
    def load(cls, folder: Path, origin: str) -> NextToken:
        """Load the folder of a causal language model.

        Raises:
            ModelError: the folder holds none.
        """
        model, tokenizer = load_causal(folder)
        return cls(model, tokenizer, origin)

    @property
    def end_token(self) -> int | None:
        """The token that ends a text; None if the tokenizer has none."""
        return self._collate.end_token

    @property
    def positions(self) -> int | None:
        """Most tokens of a text, special tokens included; None without a limit."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def framed(self, text: str, max_length: int, ends: bool = True) -> NDArray[np.int64]:
        """Return a text's tokens as in training: after the special tokens, and ended where it is not cut.

        Args:
            text: the text.
            max_length: tokens that are kept, special tokens included.
            ends: whether the end of the text belongs to it; false for a prompt.
        """
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        budget = max_length - self._collate.special_count
        ids = [*self._collate.prefix, *tokens[:budget]]
        # A text that fills the budget may have been cut there.
        if ends and len(tokens) < budget and self.end_token is not None:
            ids.append(self.end_token)
        return np.array(ids, dtype=np.int64)

    def token_log_probabilities(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return log-probabilities `[T - 1]` of each token but the first, after those before it.

        Args:
            ids: `[T]`, from `framed`.
        """
        if len(ids) < 2:
            return np.zeros(0)
        logits_TV = self._logits(torch.from_numpy(ids[None, :-1]))
        self.flops += self._cost.of_tokens(0, len(ids) - 1)
        logs_TV = logits_TV.double().log_softmax(-1)
        chosen = logs_TV[torch.arange(len(ids) - 1), torch.from_numpy(ids[1:])]
        found: NDArray[np.float64] = chosen.numpy()
        return found

    def distributions(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the distributions `[T - 1, V]` of each token but the first, after those before it.

        Args:
            ids: `[T]`, from `framed`; at least two.
        """
        logits_TV = self._logits(torch.from_numpy(ids[None, :-1]))
        self.flops += self._cost.of_tokens(0, len(ids) - 1)
        rows: NDArray[np.float32] = logits_TV.double().softmax(-1).float().numpy()
        return rows

    def begin(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Read a prefix `[T]` afresh; return the distribution `[V]` of the next token."""
        self._past, self._length = None, 0
        return self._read(ids.tolist())

    def advance(self, token: int) -> NDArray[np.float64]:
        """Append a token to what was read; return the distribution `[V]` of the one after it."""
        return self._read([token])

    def _read(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        with torch.inference_mode():
            found = self._model(
                input_ids=torch.tensor([list(tokens)]),
                past_key_values=self._past,
                use_cache=True,
                return_dict=True,
            )
        self._past = found.past_key_values
        self.flops += self._cost.of_tokens(self._length, len(tokens))
        self._length += len(tokens)
        row: NDArray[np.float64] = found.logits[0, -1].double().softmax(-1).numpy()
        return row

    def _logits(self, ids_1T: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(
                input_ids=ids_1T, use_cache=False, return_dict=True
            ).logits[0]
        return logits


class _Cost:
    """FLOPs of a decoder's tokens: two for each weight of a matrix, and attention to those before.

    Args:
        weights: weights that multiply every token, the output embedding included.
        attention: layers times width.
    """

    def __init__(self, weights: int, attention: int) -> None:
        self._weights = weights
        self._attention = attention

    @classmethod
    def of(cls, model: PreTrainedModel) -> _Cost:
        tables = [each for each in model.modules() if isinstance(each, torch.nn.Embedding)]
        looked_up = {id(parameter) for table in tables for parameter in table.parameters()}
        matrices = [each for each in model.parameters() if each.ndim > 1]
        weights = sum(each.numel() for each in matrices if id(each) not in looked_up)
        head = model.get_output_embeddings()
        if head is not None and id(head.weight) in looked_up:  # tied: it multiplies nevertheless
            weights += head.weight.numel()
        config = model.config
        return cls(weights, int(config.num_hidden_layers) * int(config.hidden_size))

    def of_tokens(self, before: int, count: int) -> float:
        """Return the FLOPs of so many tokens after so many others."""
        attended = count * before + count * (count + 1) / 2
        return 2.0 * self._weights * count + 4.0 * self._attention * attended


def vocabulary_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a digest of a tokenizer's tokens and their numbers, special tokens included."""
    digest = hashlib.blake2b(digest_size=16)
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda each: each[1]):
        digest.update(f"{number}\0{token}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
