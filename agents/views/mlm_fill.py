"""Infilling: replacement of mask tokens by draws from the agent's own masked language model.

Legend: B texts, T tokens, M mask tokens to be replaced, W width of the backbone, V size of the vocabulary, K
most probable tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.models.encoder import Encoder
from agents.models.microbatch import narrow, split
from agents.text.batch import Batch
from protocols.errors import ModelError

_TOP_K = 10
"""Most probable tokens among which one is drawn."""


def fill_masks(
    encoder: Encoder,
    batch: Batch,
    candidates: np.ndarray,
    seed: int,
    micro_batch_tokens: int | None = None,
) -> Batch:
    """Replace mask tokens by draws from the ten most probable tokens, in proportion to their probabilities.

    Runs without gradient and without dropout. All mask tokens of a text are predicted at once.

    Args:
        encoder: with a masked-language-model head.
        batch: holds the mask token where `Batch.infill` is set.
        candidates: `[V]` bool, tokens that may be drawn.
        seed: of the draws.
        micro_batch_tokens: padded tokens that go through the encoder at once; None for all.

    Returns:
        The batch with `Batch.infill` unset.

    Raises:
        ModelError: the encoder has no masked-language-model head.

    Source: Kobayashi, Contextual Augmentation: Data Augmentation by Words with Paradigmatic Relations, 2018;
    Wu et al., Conditional BERT Contextual Augmentation, 2019.
    """
    infill_BT = batch.infill
    if infill_BT is None:
        return batch
    if encoder.language_head is None or encoder.language_head.kind != "masked":
        raise ModelError(
            "mask tokens cannot be replaced: the encoder has no masked-language-model head",
            hint="add the objective masked_lm, or use the source thesaurus in word_replacement",
        )
    generator = torch.Generator(infill_BT.device).manual_seed(seed)
    allowed_V = torch.from_numpy(candidates).to(infill_BT.device)
    ids_BT = batch.input_ids.clone()
    rows = np.flatnonzero(infill_BT.any(dim=1).cpu().numpy())
    # Only texts with mask tokens pass the encoder; without a limit they fit into one part.
    limit = micro_batch_tokens or int(batch.lengths.max()) * len(rows)
    was_training = encoder.training
    encoder.eval()
    try:
        for part in split(batch.lengths[rows], limit):
            chosen = torch.from_numpy(rows[part]).to(infill_BT.device)
            texts = narrow(batch, chosen, rows[part])
            width = texts.input_ids.shape[1]
            drawn = _draw(encoder, texts, allowed_V, generator)
            part_BT = texts.input_ids.masked_scatter(infill_BT[chosen, :width], drawn)
            ids_BT[chosen, :width] = part_BT
    finally:
        encoder.train(was_training)
    return batch._replace(input_ids=ids_BT, infill=None)


@torch.no_grad()
def _draw(encoder: Encoder, batch: Batch, allowed_V: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a token `[M]` for each mask token, in the order of texts and places."""
    states_BTW = encoder.states(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    assert encoder.language_head is not None
    logits_MV = encoder.language_head(states_BTW[batch.infill]).float()[:, : len(allowed_V)]
    logits_MV = logits_MV.masked_fill(~allowed_V, -torch.inf)
    top_MK, tokens_MK = logits_MV.topk(min(_TOP_K, int(allowed_V.sum())), dim=1)
    drawn_M1 = torch.multinomial(top_MK.softmax(dim=1), 1, generator=generator)
    drawn: Tensor = tokens_MK.gather(1, drawn_M1)[:, 0]
    return drawn
