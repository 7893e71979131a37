"""An encoder from a folder, as a subject: one that a run exported, or any of Hugging Face's.

Legend: B texts in a batch, T tokens, V vocabulary, N texts, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.config import EncoderConfig, Pooling
from agents.models.text_encoder import TokenScores

MAX_LENGTH = 64
"""Tokens of a text, where neither the caller nor the folder says otherwise."""
_BATCH = 128


class LoadedEncoder:
    """A subject that reads a model folder, or a name in the local Hugging Face cache.

    It pools and cuts texts as the folder says for sentence-transformers, so an encoder that a run
    exported embeds as it did in the run. Where the folder holds a language model, its tokens are
    scored too.

    Args:
        origin: the folder, or the name.
        pooling: instead of the folder's.
        max_length: tokens of a text, special tokens included, instead of the folder's.

    Raises:
        ModelError: nothing that can be used lies there.

    Example:
        >>> LoadedEncoder("runs/x/encoders/agent-0").embed(["a text"]).shape  # doctest: +SKIP
        (1, 128)
    """

    def __init__(
        self, origin: str, pooling: Pooling | None = None, max_length: int | None = None
    ) -> None:
        from agents.models.build import load_encoder
        from agents.models.pretrained import load_tokenizer
        from agents.models.sentence_transformer import pooling_of, saved_length
        from agents.text.collate import Collator
        from agents.text.vocabulary import Vocabulary

        folder = Path(origin).expanduser()
        here = folder.is_dir()
        config = EncoderConfig(
            path=str(folder) if here else None, name=None if here else origin, pooling=pooling
        )
        self.tokenizer = load_tokenizer(config)
        self.encoder = load_encoder(config, self.tokenizer, pooling_of(config)).eval()
        saved = saved_length(folder) if here else None
        self.max_length = max_length or saved or MAX_LENGTH
        self._collate = Collator(self.tokenizer, self.max_length)
        self._vocabulary = Vocabulary(self.tokenizer)

    @property
    def head(self) -> str | None:
        """Which language model the folder was saved as: ``masked``, ``causal``, or None."""
        head = self.encoder.language_head
        return None if head is None else head.kind

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, not normalised."""
        import torch

        from agents.text.batch import to_device

        rows: dict[int, NDArray[np.float32]] = {}
        tokens = self._tokens(texts)
        with torch.inference_mode():
            for chosen in _by_length(tokens, _BATCH):
                batch = to_device(self._collate([tokens[i] for i in chosen]), torch.device("cpu"))
                rows.update(zip(chosen, self.encoder.pool_batch(batch).numpy(), strict=True))
        embedded: NDArray[np.float32] = np.stack([rows[i] for i in range(len(texts))])
        return embedded

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts with the folder's language model; None where it holds none."""
        from agents.models.token_scores import score_tokens

        return score_tokens(
            self.encoder,
            texts,
            self._tokens(texts),
            seed,
            collate=self._collate,
            vocabulary=self._vocabulary,
        )

    def _tokens(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=True,
            max_length=self._collate.budget,
        )["input_ids"]
        return [np.asarray(ids, dtype=np.int64) for ids in encoded]


def _by_length(tokens: Sequence[NDArray[np.int64]], size: int) -> list[list[int]]:
    """Divide texts into batches of like length."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
    return [order[start : start + size] for start in range(0, len(order), size)]
