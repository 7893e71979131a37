"""An encoder from a folder: exported by a run, or any Hugging Face model.

Legend: B texts in a batch, T tokens, V vocabulary, N texts, D embedding width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from agents.config import EncoderConfig, Pooling
from agents.models.build import load_encoder
from agents.models.encoder import Encoder
from agents.models.heads.label_head import LabelHead, label_scores
from agents.models.heads.saved_heads import load_label_head
from agents.models.pretrained import load_tokenizer, positions_of
from agents.models.sentence_transformer import (
    SavedSettings,
    pooling_of,
    read_settings,
    stored_map,
)
from agents.models.text_encoder import EmbeddingMap, LabelScores, TokenScores
from agents.models.token_scores import score_tokens
from agents.text.batch import to_device
from agents.text.collate import Collator
from agents.text.vocabulary import Vocabulary
from protocols.errors import ModelError

MAX_LENGTH = 64
"""Tokens of a text, if neither the caller nor the folder sets a limit."""
_LONGEST = 2**20
"""Tokens of a text, where neither the files nor the positions of an encoder set a limit."""
_BATCH = 128


class LoadedEncoder:
    """A text encoder made of a model and its tokenizer.

    Args:
        encoder: the model, in evaluation mode.
        tokenizer: the model's tokenizer.
        max_length: tokens of a text, special tokens included.
        normalised: scale embeddings to length 1.
        classifier: classifier of the agent's own labels, and the names of its classes; None without one.
        maps: the map that embeddings pass, by its name in `agentos.evaluation.base.VARIANTS`; at most one.

    Attributes:
        collate: frames tokens with special tokens, and pads them.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        normalised: bool = False,
        classifier: tuple[LabelHead, tuple[str, ...]] | None = None,
        maps: Mapping[str, EmbeddingMap] | None = None,
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.normalised = normalised
        self.classifier = classifier
        self.maps = maps or {}
        self._device = torch.device("cpu")
        self.collate = Collator(tokenizer, max_length)
        self._vocabulary = Vocabulary(tokenizer)

    @classmethod
    def load(
        cls, origin: str, pooling: Pooling | None = None, max_length: int | None = None
    ) -> LoadedEncoder:
        """Load a model folder, or a name in the local Hugging Face cache.

        The encoder embeds as ``SentenceTransformer(origin).encode`` does where the folder has
        sentence-transformers files, so one that a run exported embeds as it did in the run.

        Args:
            origin: the folder, or the name.
            pooling: overrides that of the folder.
            max_length: overrides that of the folder.

        Raises:
            ModelError: the folder or name is not a usable model, has sentence-transformers modules that
                have no counterpart here, or has fewer positions than `max_length`.

        Example:
            >>> encoder = LoadedEncoder.load("runs/x/encoders/agent-0")  # doctest: +SKIP
            >>> encoder.embed(["a text"]).shape  # doctest: +SKIP
            (1, 128)
        """
        folder = Path(origin).expanduser()
        here = folder.is_dir()
        config = EncoderConfig(
            path=str(folder) if here else None, name=None if here else origin, pooling=pooling
        )
        tokenizer = load_tokenizer(config)
        encoder = load_encoder(config, tokenizer, pooling_of(config)).eval()
        settings = read_settings(config)
        length = _length(max_length, settings, tokenizer, encoder)
        name = settings.map
        maps = {name: stored_map(config, name, encoder.width)} if name else {}
        classifier = load_label_head(folder) if here else None
        return cls(encoder, tokenizer, length, settings.normalised, classifier, maps)

    def to(self, device: str) -> LoadedEncoder:
        """Move the model to a device, such as ``cuda``; embeddings come back as before."""
        self._device = torch.device(device)
        self.encoder.to(self._device)
        return self

    @property
    def plain(self) -> LoadedEncoder:
        """The same encoder without the map of its folder."""
        plain = copy.copy(self)
        plain.maps = {}
        return plain

    @property
    def head(self) -> str | None:
        """Kind of the language model in the folder: ``masked``, ``causal``, or None."""
        head = self.encoder.language_head
        return None if head is None else head.kind

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, normalised and mapped where the folder says so."""
        embedded = self.pooled(texts)
        if self.normalised:
            embedded = torch.nn.functional.normalize(torch.from_numpy(embedded), dim=-1).numpy()
        for map in self.maps.values():
            embedded = map(embedded)
        return embedded

    @property
    def special_tokens(self) -> tuple[int, int]:
        """Numbers of special tokens before and after a text."""
        return len(self.collate.prefix), len(self.collate.suffix)

    @property
    def padding_token(self) -> int:
        """The padding token."""
        return self.collate.padding_id

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens `[N]` that each text puts through the encoder, special tokens included."""
        around = self.collate.special_count
        return np.array([len(ids) + around for ids in self._tokens(texts)], dtype=np.int64)

    def pooled(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, W]`, neither normalised nor mapped."""
        if not texts:
            return np.zeros((0, self.encoder.width), dtype=np.float32)
        rows: dict[int, NDArray[np.float32]] = {}
        tokens = self._tokens(texts)
        with torch.inference_mode():
            for chosen in _by_length(tokens, _BATCH):
                batch = to_device(self.collate([tokens[i] for i in chosen]), self._device)
                pooled = self.encoder.pool_batch(batch)
                rows.update(zip(chosen, pooled.cpu().numpy(), strict=True))
        embedded: NDArray[np.float32] = np.stack([rows[i] for i in range(len(texts))])
        return embedded

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts with the folder's language model; None without one."""
        return score_tokens(
            self.encoder,
            texts,
            self._tokens(texts),
            seed,
            collate=self.collate,
            vocabulary=self._vocabulary,
        )

    def label_scores(self, texts: Sequence[str]) -> LabelScores | None:
        """Classify texts with the folder's classifier; None without one."""
        if self.classifier is None:
            return None
        head, names = self.classifier
        with torch.inference_mode():
            return label_scores(head(torch.from_numpy(self.pooled(texts))), names)

    def _tokens(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=True,
            max_length=self.collate.budget,
        )["input_ids"]
        return [np.asarray(ids, dtype=np.int64) for ids in encoded]


def _length(
    asked: int | None,
    settings: SavedSettings,
    tokenizer: PreTrainedTokenizerBase,
    encoder: Encoder,
) -> int:
    """Return the tokens of a text: those asked for, else those of the folder, else the default."""
    limit = positions_of(encoder.backbone) or _LONGEST
    if asked is not None and asked > limit:
        raise ModelError(
            "the maximum length is longer than the encoder can read",
            expected=f"at most {limit} tokens",
            actual=asked,
            hint="lower it, or leave it out",
        )
    saved = settings.max_length or (tokenizer.model_max_length if settings.listed else MAX_LENGTH)
    return asked or min(int(saved), limit)


def _by_length(tokens: Sequence[NDArray[np.int64]], size: int) -> list[list[int]]:
    """Return batches of indices of texts of similar length."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
    return [order[start : start + size] for start in range(0, len(order), size)]
