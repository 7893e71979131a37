from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.blueprint import Arm
from agents.config import EncoderConfig
from agents.exchange.none import Isolated
from agents.objectives import InfoNCE, Step, functional
from agents.views import Crop, Dropout


def step_of(make_host, documents, projection=0) -> Step:
    encoder = EncoderConfig(preset="nano", dropout=0.0, projection=projection)
    host = make_host(1, encoders=(encoder,))
    host.begin(Arm(Isolated(), 0.0))
    agent = host.agents[0]
    return Step(agent.encoder, documents[:6], agent.resident.collate, np.random.default_rng(2))


def test_loss_is_info_nce_between_two_rounds_of_views_read_in_order(make_host, documents):
    step = step_of(make_host, documents)
    result = InfoNCE(temperature=0.2).loss(step)
    rng, crop = np.random.default_rng(2), Crop()
    views = [
        step.collate([crop.apply(text, step.collate.budget, rng) for text in step.documents])
        for _ in range(2)
    ]
    first, second = (step.encoder(view.input_ids, view.attention_mask) for view in views)
    torch.testing.assert_close(result.loss, functional.info_nce(first, second, 0.2))
    torch.testing.assert_close(result.pooled, (first, second), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result.token_counts, views[0].lengths + views[1].lengths)


def test_loss_is_taken_behind_the_projection_and_pooled_states_before_it(make_host, documents):
    step = step_of(make_host, documents, projection=8)
    result = InfoNCE(temperature=0.2).loss(step)
    assert result.pooled[0].shape == (6, 64)
    projected = [step.encoder.projection(view) for view in result.pooled]
    assert projected[0].shape == (6, 8)
    torch.testing.assert_close(result.loss, functional.info_nce(*projected, 0.2))


def test_several_views_are_applied_one_after_another(make_host, documents):
    step = step_of(make_host, documents)
    twice = InfoNCE(views=({"kind": "crop", "shortest": 0.5, "longest": 0.5},) * 2)
    counts = twice.loss(step).token_counts
    for count, text in zip(counts, step.documents, strict=True):
        half = max(1, min(10, round(0.5 * len(text))))
        quarter = max(1, round(0.5 * half))
        assert count == 2 * (quarter + 2)


def test_views_are_named_or_given_and_never_none():
    assert InfoNCE(views=("crop", Dropout())).views == (Crop(), Dropout())
    with pytest.raises(ValidationError):
        InfoNCE(views=())


def test_objective_relies_on_dropout_only_where_every_view_does():
    assert InfoNCE(views=("dropout",)).relies_on_dropout
    assert not InfoNCE(views=("dropout", "crop")).relies_on_dropout
    assert not InfoNCE().relies_on_dropout
