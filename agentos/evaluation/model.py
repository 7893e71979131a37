"""An encoder from a folder, as a subject: one that a run exported, or any of Hugging Face's.

Legend: B texts in a batch, T tokens, V vocabulary, N texts, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.config import EncoderConfig, Pooling
from agents.subject import TokenScores
from protocols.errors import ModelError
from protocols.seeding import generator

if TYPE_CHECKING:
    import torch


MAX_LENGTH = 64
"""Tokens of a text, where neither the caller nor the folder says otherwise."""
_BATCH = 128
_SCORING_BATCH = 16  # logits are as wide as the vocabulary
MASKED_SHARE = 0.15

Score = tuple[float, int, int]
"""Of one text: summed negative log-likelihood, right guesses, tokens guessed."""


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
        import torch

        from agents.batching import Collator
        from agents.encoder import Encoder, build_backbone, load_tokenizer
        from agents.export import pooling_of, saved_length

        folder = Path(origin).expanduser()
        here = folder.is_dir()
        config = EncoderConfig(
            path=str(folder) if here else None, name=None if here else origin, pooling=pooling
        )
        self.origin = config.origin
        self.here = here
        self.tokenizer = load_tokenizer(config)
        backbone = build_backbone(config, len(self.tokenizer), 0, seed=0)
        self.encoder = Encoder(backbone, pooling_of(config)).eval()
        saved = saved_length(folder) if here else None
        self.max_length = max_length or saved or MAX_LENGTH
        self._collate = Collator(self.tokenizer, self.max_length, torch.device("cpu"))
        self._language_model: Any = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled states `[N, D]`, not normalised."""
        import torch

        rows: dict[int, NDArray[np.float32]] = {}
        tokens = self._tokens(texts)
        with torch.inference_mode():
            for chosen in _by_length(tokens, _BATCH):
                batch = self._collate([tokens[i] for i in chosen])
                pooled = self.encoder(batch.input_ids, batch.attention_mask).numpy()
                rows.update(zip(chosen, pooled, strict=True))
        embedded: NDArray[np.float32] = np.stack([rows[i] for i in range(len(texts))])
        return embedded

    def token_scores(self, texts: Sequence[str], seed: int) -> TokenScores | None:
        """Score the tokens of texts with the folder's language model; None where it holds none."""
        import torch

        kind = self.head
        if kind is None:
            return None
        model = self._loaded_language_model(kind)
        tokens = self._tokens(texts)
        score: Callable[..., list[Score]] = self._masked if kind == "masked" else self._causal
        found: dict[int, Score] = {}
        with torch.inference_mode():
            for chosen in _by_length(tokens, _SCORING_BATCH):
                scores = score(model, [tokens[i] for i in chosen], [texts[i] for i in chosen], seed)
                found.update(zip(chosen, scores, strict=True))
        nll, correct, count = zip(*(found[i] for i in range(len(texts))), strict=True)
        return TokenScores(
            kind,  # type: ignore[arg-type]
            np.array(nll, dtype=np.float64),
            np.array(correct, dtype=np.int64),
            np.array(count, dtype=np.int64),
        )

    @property
    def head(self) -> str | None:
        """Which language model the folder was saved as: ``masked``, ``causal``, or None."""
        names = " ".join(self.encoder.backbone.config.architectures or ())
        if "MaskedLM" in names or "ForPreTraining" in names:
            return "masked"
        return "causal" if "CausalLM" in names or "LMHead" in names else None

    def _loaded_language_model(self, kind: str) -> Any:
        if self._language_model is None:
            from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

            from agents.encoder import no_progress_bars

            cls = AutoModelForMaskedLM if kind == "masked" else AutoModelForCausalLM
            with no_progress_bars():
                self._language_model = cls.from_pretrained(
                    self.origin, local_files_only=self.here
                ).eval()
        return self._language_model

    def _masked(
        self, model: Any, tokens: list[NDArray[np.int64]], texts: Sequence[str], seed: int
    ) -> list[Score]:
        mask = self.tokenizer.mask_token_id
        if mask is None:
            raise ModelError(
                f"the tokenizer of {self.origin!r} has no mask token",
                expected="a tokenizer with a mask token, as the masked language model needs",
                mend="save the tokenizer that the model was trained with beside it",
            )
        batch = self._collate(tokens)
        truth = batch.input_ids.numpy()
        hidden = np.zeros(truth.shape, dtype=np.bool_)
        before = len(self._collate.prefix)
        for row, (ids, text) in enumerate(zip(tokens, texts, strict=True)):
            size = min(len(ids), self._collate.budget)
            chosen = generator(seed, "masked tokens", text).permutation(size)
            hidden[row, before + chosen[: max(1, round(MASKED_SHARE * size))]] = True
        inputs = batch.input_ids.masked_fill(_tensor(hidden), mask)
        logits = model(input_ids=inputs, attention_mask=batch.attention_mask).logits
        return _scores(logits, batch.input_ids, _tensor(hidden))

    def _causal(
        self, model: Any, tokens: list[NDArray[np.int64]], texts: Sequence[str], seed: int
    ) -> list[Score]:
        batch = self._collate(tokens)
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        # The token at t is guessed from those before it; the first one has none.
        return _scores(logits[:, :-1], batch.input_ids[:, 1:], batch.attention_mask[:, 1:].bool())

    def _tokens(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=True,
            max_length=self._collate.budget,
        )["input_ids"]
        return [np.asarray(ids, dtype=np.int64) for ids in encoded]


def _scores(
    logits_BTV: torch.Tensor, truth_BT: torch.Tensor, asked_BT: torch.Tensor
) -> list[Score]:
    """Score the tokens that are asked for, text by text."""
    import torch

    log_probability = torch.log_softmax(logits_BTV.float(), dim=-1)
    nll = -log_probability.gather(-1, truth_BT.unsqueeze(-1)).squeeze(-1).double()
    right = (logits_BTV.argmax(dim=-1) == truth_BT) & asked_BT
    return list(
        zip(
            (nll * asked_BT).sum(dim=1).tolist(),
            right.sum(dim=1).tolist(),
            asked_BT.sum(dim=1).tolist(),
            strict=True,
        )
    )


def _by_length(tokens: Sequence[NDArray[np.int64]], size: int) -> list[list[int]]:
    """Divide texts into batches of like length."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
    return [order[start : start + size] for start in range(0, len(order), size)]


def _tensor(values: NDArray[np.bool_]) -> torch.Tensor:
    import torch

    return torch.from_numpy(values)
