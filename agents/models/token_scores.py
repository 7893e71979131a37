"""How well a language-model head guesses tokens.

Legend: B texts, N texts in all, T tokens, M tokens to be guessed, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agents.models.encoder import pool
from agents.models.microbatch import split
from agents.models.text_encoder import TokenScores
from agents.objectives.causal_lm import next_tokens
from agents.objectives.masking import IGNORED, choose, labels_of
from agents.text.tokens import Text
from protocols.seeding import generator

if TYPE_CHECKING:
    from agents.models.encoder import Encoder
    from agents.objectives.base import Step
    from agents.text.batch import Batch
    from agents.text.collate import Collator, Padded
    from agents.text.vocabulary import Vocabulary

_MASKED_SHARE = 0.15
_TOKENS = 2048
"""Padded tokens that are scored at once: the logits of all of them are in memory."""


@dataclass(frozen=True)
class Guessed:
    """What came of guessing the tokens of a batch.

    Attributes:
        loss: mean negative log-likelihood, attached to the graph; 0 if there was nothing to guess.
        nll: its sum over tokens, detached.
        correct: tokens that were guessed right.
        count: tokens that were to be guessed.
        pooled: one view `[B, W]`, or none.
    """

    loss: Tensor
    nll: Tensor
    correct: Tensor
    count: Tensor
    pooled: tuple[Tensor, ...]


def guess(step: Step, batch: Batch, labels_BT: Tensor, pooled: bool = False) -> Guessed:
    """Guess the tokens of a batch in a training step, in micro-batches where configured.

    Args:
        step: its encoder has a language-model head.
        batch: B texts.
        labels_BT: what each token's state has to guess, or `IGNORED`.
        pooled: whether to pool the same states.
    """

    def rows(part: Batch, labels: Tensor) -> Tensor:
        return _guess_rows(step.encoder, part, labels, pooled)

    rows_BX = step.rowwise(rows, batch, labels_BT)
    nll, correct = rows_BX[:, 0].sum(), rows_BX[:, 1].sum().detach()
    count = (labels_BT != IGNORED).sum()
    views = (rows_BX[:, 2:],) if pooled else ()
    return Guessed(nll / count.clamp(min=1), nll.detach(), correct, count, views)


def _guess_rows(encoder: Encoder, batch: Batch, labels_BT: Tensor, pooled: bool) -> Tensor:
    """Return for each text the summed negative log-likelihood, the right guesses, and its pooled state.

    Only the states of tokens that are to be guessed pass the head: logits are what costs.
    """
    assert encoder.language_head is not None
    labels_BT = labels_BT[:, : batch.input_ids.shape[1]]  # a part has no more padding than it needs
    states_BTW = encoder.states(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    guessed_BT = labels_BT != IGNORED
    logits_MV = encoder.language_head(states_BTW[guessed_BT]).float()
    targets_M = labels_BT[guessed_BT]
    nll_M = F.cross_entropy(logits_MV, targets_M, reduction="none")
    correct_M = (logits_MV.argmax(dim=-1) == targets_M).float()
    zeros_BT = torch.zeros(labels_BT.shape, device=nll_M.device)
    columns = [
        zeros_BT.masked_scatter(guessed_BT, of_M).sum(dim=1, keepdim=True)
        for of_M in (nll_M, correct_M)
    ]
    if pooled:
        columns.append(pool(states_BTW, batch.attention_mask, encoder.pooling))
    return torch.cat(columns, dim=1)


def token_scores(
    encoder: Encoder,
    texts: Sequence[str],
    tokens: Sequence[np.ndarray],
    seed: int,
    *,
    collate: Collator,
    vocabulary: Vocabulary,
    to_device: Callable[[Padded], Batch],
) -> TokenScores | None:
    """Score the tokens of texts for evaluation; None without a language-model head.

    A causal head guesses what `agents.objectives.causal_lm` trains it to guess. For a masked one 15 % of
    the tokens, and one at least, are all replaced by the mask; which ones depends on the seed, the text and
    the tokenizer alone.

    Args:
        encoder: in evaluation mode.
        texts: N strings.
        tokens: their token ids, without special tokens, cut at the length of evaluation.
        seed: of the run.
        collate: for that length.
        vocabulary: of the tokenizer.
        to_device: moves a padded batch to the encoder.
    """
    if encoder.language_head is None:
        return None
    kind = encoder.language_head.kind
    scores = np.zeros((len(texts), 2))
    counts = np.zeros(len(texts), dtype=np.int64)
    # What has no token is nothing that every backbone can read.
    readable = np.array([row for row, ids in enumerate(tokens) if len(ids)], dtype=np.int64)
    for part in split(np.array([len(tokens[row]) for row in readable], dtype=np.int64), _TOKENS):
        rows = readable[part]
        some = [Text.of(tokens[row]) for row in rows]
        if kind == "masked":
            names = [texts[row] for row in rows]
            padded, labels = _masked(some, names, seed, collate, vocabulary)
        else:
            # A text that fills the budget may have been cut there.
            whole = np.array([len(text) < collate.budget for text in some])
            padded = collate(some)
            labels = next_tokens(padded, whole, collate)
        batch = to_device(padded)
        with torch.inference_mode():
            labels_BT = torch.from_numpy(labels).to(batch.input_ids.device)
            scores[rows] = _guess_rows(encoder, batch, labels_BT, pooled=False).cpu().numpy()
        counts[rows] = (labels != IGNORED).sum(axis=1)
    return TokenScores(kind, scores[:, 0].copy(), scores[:, 1].astype(np.int64), counts)


def _masked(
    texts: list[Text], names: Sequence[str], seed: int, collate: Collator, vocabulary: Vocabulary
) -> tuple[Padded, np.ndarray]:
    chosen, masked = [], []
    for text, name in zip(texts, names, strict=True):
        rng = generator(seed, "token scores", name)
        flags = choose(text, vocabulary, _MASKED_SHARE, whole_words=False, rng=rng)
        chosen.append(flags)
        masked.append(text.with_tokens(np.where(flags, vocabulary.mask(), text.tokens)))
    padded = collate(masked)
    return padded, labels_of(texts, chosen, len(collate.prefix), padded.input_ids.shape)
