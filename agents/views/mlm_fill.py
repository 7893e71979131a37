"""Filling in blanks with the agent's own masked language model.

Legend: B texts, T tokens, M blanks, W width of the backbone, V size of the vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.models.encoder import Encoder
from agents.models.microbatch import narrow, split
from agents.text.batch import Batch
from protocols.errors import ModelError

_LIKELIEST = 10
"""Tokens among which one is drawn."""


def fill(
    encoder: Encoder,
    batch: Batch,
    fillers: np.ndarray,
    seed: int,
    micro_batch_tokens: int | None = None,
) -> Batch:
    """Put a token in each blank of a batch, drawn from the ten likeliest by their probabilities.

    Without gradient and without dropout. All blanks of a text are guessed at once, each from what is not
    blank (Kobayashi, Contextual Augmentation: Data Augmentation by Words with Paradigmatic Relations, 2018;
    Wu et al., Conditional BERT Contextual Augmentation, 2019).

    Args:
        encoder: with a masked-language-model head.
        batch: its blanks hold the mask token.
        fillers: `[V]` bool, tokens that may be put there.
        seed: decides the draws.
        micro_batch_tokens: padded tokens that go through the encoder at once; None for all.

    Returns:
        The batch without blanks.

    Raises:
        ModelError: the encoder has no such head.
    """
    blank_BT = batch.blank
    if blank_BT is None:
        return batch
    if encoder.language_head is None or encoder.language_head.kind != "masked":
        raise ModelError(
            "blanks cannot be filled in: the encoder has no masked-language-model head",
            hint="add the objective masked_lm, or take word_replacement's source thesaurus",
        )
    generator = torch.Generator(blank_BT.device).manual_seed(seed)
    allowed_V = torch.from_numpy(fillers).to(blank_BT.device)
    ids_BT = batch.input_ids.clone()
    rows = np.flatnonzero(blank_BT.any(dim=1).cpu().numpy())
    limit = micro_batch_tokens or int(batch.lengths.max()) * len(rows)
    was_training = encoder.training
    encoder.eval()
    try:
        for part in split(batch.lengths[rows], limit):
            chosen = torch.from_numpy(rows[part]).to(blank_BT.device)
            texts = narrow(batch, chosen, rows[part])
            width = texts.input_ids.shape[1]
            drawn = _draw(encoder, texts, allowed_V, generator)
            part_BT = texts.input_ids.masked_scatter(blank_BT[chosen, :width], drawn)
            ids_BT[chosen, :width] = part_BT
    finally:
        encoder.train(was_training)
    return batch._replace(input_ids=ids_BT, blank=None)


@torch.no_grad()
def _draw(encoder: Encoder, batch: Batch, allowed_V: Tensor, generator: torch.Generator) -> Tensor:
    """Return a token `[M]` for each blank, in the order of texts and places."""
    states_BTW = encoder.states(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    assert encoder.language_head is not None
    logits_MV = encoder.language_head(states_BTW[batch.blank]).float()[:, : len(allowed_V)]
    logits_MV = logits_MV.masked_fill(~allowed_V, -torch.inf)
    best_MK, tokens_MK = logits_MV.topk(min(_LIKELIEST, int(allowed_V.sum())), dim=1)
    drawn_M1 = torch.multinomial(best_MK.softmax(dim=1), 1, generator=generator)
    drawn: Tensor = tokens_MK.gather(1, drawn_M1)[:, 0]
    return drawn
