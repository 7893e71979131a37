from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.models.build import build_encoder
from agents.objectives.base import Batch, Objective
from agents.text.collate import Collator
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.views.mlm_fill import fill_masks
from protocols.errors import ModelError


class Masked(Objective):
    """An objective that needs the head of a masked language model."""

    language_model: ClassVar[Any] = "masked"
    kind: Literal["masked"] = "masked"

    def prepare(self, draft: Any) -> Any:
        raise NotImplementedError

    def loss(self, step: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> Any:
    # Dropout must not be felt.
    config = EncoderConfig(preset="nano", dropout=0.5)
    return build_encoder(config, tokenizer, 0, objectives=(Masked(),))


@pytest.fixture
def batch(tokenizer: Any, documents: Any) -> Batch:
    texts = []
    for row, tokens in enumerate(documents[:6]):
        infill = np.zeros(len(tokens), dtype=bool)
        infill[: row % 3] = True
        filled = np.where(infill, tokenizer.mask_token_id, tokens)
        texts.append(Text.of(filled).with_infill(infill) if infill.any() else Text.of(tokens))
    padded = Collator(tokenizer, 12)(texts)
    arrays = (padded.input_ids, padded.attention_mask, padded.infill)
    ids, mask, infill = (torch.from_numpy(array) for array in arrays)
    return Batch(ids, mask, None, padded.lengths, infill)


def test_blanks_are_filled_from_the_ten_likeliest_and_nothing_else_changes(
    encoder: Any, batch: Batch, tokenizer: Any
) -> None:
    candidates = Vocabulary(tokenizer).infill_candidates
    encoder.train()
    filled = fill_masks(encoder, batch, candidates, seed=1)
    assert encoder.training
    assert filled.infill is None
    kept = ~batch.infill
    assert torch.equal(filled.input_ids[kept], batch.input_ids[kept])
    encoder.eval()
    with torch.no_grad():
        for row, place in zip(*torch.where(batch.infill), strict=True):
            length = int(batch.lengths[row])  # each text by itself, without padding
            states = encoder.states(
                batch.input_ids[row : row + 1, :length],
                batch.attention_mask[row : row + 1, :length],
            )
            logits = encoder.language_head(states[0, place : place + 1])[0]
            allowed = [token for token in range(len(candidates)) if candidates[token]]
            best = sorted(allowed, key=lambda token: -float(logits[token]))[:10]
            assert int(filled.input_ids[row, place]) in best


def test_draws_follow_the_seed_and_leave_the_global_state_alone(
    encoder: Any, batch: Batch, tokenizer: Any
) -> None:
    candidates = Vocabulary(tokenizer).infill_candidates
    before = torch.get_rng_state()
    drawn = [fill_masks(encoder, batch, candidates, seed).input_ids for seed in (1, 1, 2, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert any(not torch.equal(drawn[0], other) for other in drawn[2:])


def test_draws_have_the_probabilities_of_the_model(encoder: Any, tokenizer: Any) -> None:
    candidates = Vocabulary(tokenizer).infill_candidates
    rows = 3000
    ids = torch.tensor([[2, tokenizer.mask_token_id, 3]]).expand(rows, 3)
    infill = torch.tensor([[False, True, False]]).expand(rows, 3)
    batch = Batch(ids, torch.ones(rows, 3, dtype=torch.int64), None, np.full(rows, 3), infill)
    drawn = fill_masks(encoder, batch, candidates, seed=0).input_ids[:, 1]
    encoder.eval()
    with torch.no_grad():
        logits = encoder.language_head(encoder.states(ids[:1], batch.attention_mask[:1])[0, 1:2])[0]
    logits[~torch.from_numpy(candidates)] = -torch.inf
    best = logits.topk(10)
    chances = best.values.softmax(dim=0)
    for token, chance in zip(best.indices.tolist(), chances.tolist(), strict=True):
        count = int((drawn == token).sum())
        assert abs(count - rows * chance) < 5 * np.sqrt(rows * chance * (1 - chance))


def test_micro_batches_fill_every_blank(encoder: Any, batch: Batch, tokenizer: Any) -> None:
    filled = fill_masks(
        encoder, batch, Vocabulary(tokenizer).infill_candidates, seed=1, micro_batch_tokens=12
    )
    assert not (filled.input_ids[batch.infill] == tokenizer.mask_token_id).any()


def test_batch_without_blanks_is_returned(encoder: Any, batch: Batch, tokenizer: Any) -> None:
    whole = batch._replace(infill=None)
    assert fill_masks(encoder, whole, Vocabulary(tokenizer).infill_candidates, seed=1) is whole


def test_encoder_without_a_head_is_refused(batch: Batch, tokenizer: Any) -> None:
    bare = build_encoder(EncoderConfig(preset="nano"), tokenizer, 0)
    with pytest.raises(ModelError, match="masked_lm"):
        fill_masks(bare, batch, Vocabulary(tokenizer).infill_candidates, seed=1)
