"""Scores of the tokens of held-out texts under an encoder's language-model head.

Legend: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agents.models.encoder import Encoder
from agents.models.microbatch import split
from agents.models.text_encoder import TokenScores
from agents.text.batch import to_device
from agents.text.collate import Collator, Padded
from agents.text.masking import IGNORED, choose_tokens, masked_labels, next_token_labels
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from protocols.seeding import generator

_MASKED_SHARE = 0.15
_TOKENS = 2048
"""Padded tokens that are scored at once: the logits of all of them are in memory."""


def score_tokens(
    encoder: Encoder,
    texts: Sequence[str],
    tokens: Sequence[np.ndarray],
    seed: int,
    *,
    collate: Collator,
    vocabulary: Vocabulary,
) -> TokenScores | None:
    """Score the tokens of texts for evaluation; None without a language-model head.

    A causal head predicts what `agents.objectives.causal_lm` trains it to predict. For a masked one, 15 % of
    the tokens and at least one are all replaced by the mask; which ones depends on the seed, the text and
    the tokenizer only, so every encoder with that tokenizer predicts the same ones.

    Args:
        encoder: in evaluation mode.
        texts: N strings.
        tokens: their token ids, without special tokens, cut at the length of evaluation.
        seed: of the run.
        collate: for that length.
        vocabulary: of the tokenizer.
    """
    if encoder.language_head is None:
        return None
    kind = encoder.language_head.kind
    device = next(encoder.parameters()).device
    scores = np.zeros((len(texts), 2))
    counts = np.zeros(len(texts), dtype=np.int64)
    # Not every backbone accepts a text without tokens, and it has no scores anyway.
    readable = np.array([row for row, ids in enumerate(tokens) if len(ids)], dtype=np.int64)
    for part in split(np.array([len(tokens[row]) for row in readable], dtype=np.int64), _TOKENS):
        rows = readable[part]
        chunk = [Text.of(tokens[row]) for row in rows]
        if kind == "masked":
            names = [texts[row] for row in rows]
            padded, labels = _masked(chunk, names, seed, collate, vocabulary)
        else:
            # A text that fills the budget may have been cut there.
            complete = np.array([len(text) < collate.budget for text in chunk])
            padded = collate(chunk)
            labels = next_token_labels(padded, complete, collate)
        with torch.inference_mode():
            labels_BT = torch.from_numpy(labels).to(device)
            predictions = encoder.predict_tokens(to_device(padded, device), labels_BT)
            scores[rows] = predictions.cpu().numpy()
        counts[rows] = (labels != IGNORED).sum(axis=1)
    return TokenScores(kind, scores[:, 0].copy(), scores[:, 1].astype(np.int64), counts)


def _masked(
    texts: list[Text], names: Sequence[str], seed: int, collate: Collator, vocabulary: Vocabulary
) -> tuple[Padded, np.ndarray]:
    chosen, masked = [], []
    for text, name in zip(texts, names, strict=True):
        rng = generator(seed, "token scores", name)
        flags = choose_tokens(text, vocabulary, _MASKED_SHARE, whole_words=False, rng=rng)
        chosen.append(flags)
        masked.append(text.with_tokens(np.where(flags, vocabulary.mask(), text.tokens)))
    padded = collate(masked)
    return padded, masked_labels(texts, chosen, len(collate.prefix), padded.input_ids.shape)
