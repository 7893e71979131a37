"""Views that need more than a text: the agent's thesaurus, and its language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.objectives import InfoNCE
from agents.objectives.base import Step
from agents.objectives.masked_lm import MaskedLM
from agents.text.vocabulary import Vocabulary
from agents.training.blueprint import Arm
from agents.views import CharacterNoise, Crop, TokenCutoff, WordReplacement, WordSwap
from protocols.errors import ModelError

ARM = Arm(Isolated(), anchor_fraction=0.0)


def losses(host: Any) -> list[float]:
    host.begin(ARM)
    return [host.train(round)[0]["loss"] for round in (1, 2)]


@pytest.mark.parametrize("workers", [1, 3])
def test_views_are_the_same_however_many_threads_make_them(
    make_host: Callable[..., Any], workers: int
) -> None:
    views = (WordReplacement(p=0.5), CharacterNoise(p=0.3), WordSwap(), TokenCutoff(), Crop())
    found = [
        losses(make_host(1, objectives=(InfoNCE(views=views),), training={"view_workers": count}))
        for count in (0, workers)
    ]
    assert found[0] == found[1]


def test_blanks_are_filled_before_an_objective_sees_them(
    make_host: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    encode = Step.encode

    def watch(step: Step, batch: Any) -> torch.Tensor:
        assert batch.infill is None
        seen.append(int((batch.input_ids == tokenizer.mask_token_id).sum()))
        return encode(step, batch)

    monkeypatch.setattr(Step, "encode", watch)
    views = (WordReplacement(p=0.5, source="masked_lm"), Crop())
    objectives = (InfoNCE(views=views), MaskedLM())
    host = make_host(1, objectives=objectives, training={"micro_batch_tokens": 64})
    assert losses(host) == losses(host)
    assert host.train(3)[0]["embedded_tokens"] > 0
    assert seen
    assert not any(seen)


def test_blanks_without_a_mask_token_are_refused_before_training(
    make_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def maskless(vocabulary: Vocabulary, tokenizer: Any) -> None:
        known(vocabulary, tokenizer)
        vocabulary.mask_id = None

    known = Vocabulary.__init__
    monkeypatch.setattr(Vocabulary, "__init__", maskless)
    objectives = (InfoNCE(views=(WordReplacement(source="masked_lm"),)),)
    with pytest.raises(ModelError, match="mask token"):
        make_host(1, objectives=objectives, encoders=(EncoderConfig(preset="nano"),))
