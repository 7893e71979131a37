"""Properties that contrastive objectives share, and the simplest of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.exchange.isolated import Isolated
from agents.objectives import InfoNCE, functional
from agents.objectives.nt_xent import NTXent
from agents.objectives.simcse import SimCSE
from agents.objectives.temperature import read_temperature
from agents.training.blueprint import Arm
from protocols.errors import ModelError, TrainingError

ALONE = Arm(Isolated(), 0.0)
KINDS = (InfoNCE, NTXent, SimCSE)


def projected(agent, step):
    return agent.encoder.projection(agent.encoder.pool_batch(step.inputs["views"])).chunk(2)


@pytest.mark.parametrize("options", [{}, {"guide": "self", "margin": 0.02, "hardness": 1.0}])
def test_nt_xent_contrasts_projected_views(make_agent, look, options):
    objective = NTXent(temperature=0.3, **options)
    agent = make_agent(objective, projection=8)
    result, step = look(objective, agent)
    sides = projected(agent, step)
    views, positives, false = torch.cat(sides), torch.arange(12).roll(6), None
    if options:
        cosines = functional.cosines(views, views)
        false = functional.false_negatives(cosines, positives, 0.02).fill_diagonal_(False)
        told = result.metrics["false_negatives"]
        assert (int(told.total), told.count) == (int(false.sum()), 12 * 10)
    expected = functional.nt_xent(
        *sides, 0.3, excluded_VV=false, hardness=options.get("hardness", 0.0)
    )
    torch.testing.assert_close(result.loss, expected)
    assert [view.shape for view in result.pooled] == [(6, 64), (6, 64)]
    lengths = step.inputs["views"].lengths
    np.testing.assert_array_equal(result.token_counts, lengths[:6] + lengths[6:])


def test_simcse_contrasts_a_document_with_itself_under_other_masks(make_agent, look):
    objective = SimCSE(hardness=0.5)
    agent = make_agent(objective, projection=8, dropout=0.1)
    agent.encoder.train()
    torch.manual_seed(1)
    result, step = look(objective, agent)
    torch.manual_seed(1)
    first, second = projected(agent, step)
    assert not torch.equal(first, second)
    torch.testing.assert_close(result.loss, functional.one_way(first, second, 0.05, hardness=0.5))
    ids = step.inputs["views"].input_ids
    assert torch.equal(ids[:6], ids[6:])


def test_simcse_refuses_an_encoder_without_dropout(make_agent):
    with pytest.raises(ModelError, match="simcse with these views"):
        make_agent(SimCSE())


@pytest.mark.parametrize("kind", KINDS)
def test_learnt_temperature_begins_as_given_and_has_the_gradient_of_its_logarithm(
    make_agent, look, kind
):
    def loss(temperature):
        objective = kind(temperature=temperature)
        return look(objective, agent)[0].loss.item()

    objective = kind(temperature=0.2, learn_temperature=True)
    agent = make_agent(objective, dropout=0.1)
    agent.encoder.eval()
    result, _ = look(objective, agent)
    assert result.loss.item() == pytest.approx(loss(0.2), rel=1e-5)
    assert result.metrics["temperature"].total.item() == pytest.approx(0.2)
    result.loss.backward()
    scale = agent.encoder.heads[f"{objective.kind}_temperature"].log_scale
    step = 1e-2
    expected = (loss(0.2 * math.exp(-step)) - loss(0.2 * math.exp(step))) / (2 * step)
    assert scale.grad.item() == pytest.approx(expected, rel=1e-2)


def test_learnt_temperature_takes_no_weight_decay_and_stops_at_a_hundredth(make_agent):
    objective = InfoNCE(temperature=0.011, learn_temperature=True)
    agent = make_agent(
        objective, learning_rate=0.05, warmup_steps=0, local_steps=8, weight_decay=0.5
    )
    layout = agent.resident.binding.layout
    slot = next(s for s in layout.slots if s.name == "heads.info_nce_temperature.log_scale")
    assert slot.shape == ()
    assert slot.start >= layout.decayed
    metrics = agent.train(ALONE, 1)
    assert metrics["temperature"] >= 0.01 - 1e-6
    scale = agent.encoder.heads["info_nce_temperature"]
    with torch.no_grad():
        scale.log_scale.fill_(9.0)
    temperature = read_temperature(scale)
    temperature.backward()
    assert temperature.item() == pytest.approx(0.01)
    assert scale.log_scale.grad.item() != 0.0  # it can come back


def test_temperature_that_is_not_learnt_has_no_head_and_no_metric(make_agent, look):
    agent = make_agent(InfoNCE())
    assert len(agent.encoder.heads) == 0
    assert look(InfoNCE(), agent)[0].metrics == {}


def whole(**options):
    return InfoNCE(views=({"kind": "crop", "shortest": 1.0, "longest": 1.0},), **options)


def test_views_that_never_differ_stop_an_encoder_without_dropout_at_the_third_batch(make_agent):
    agent = make_agent(whole(), max_length=40, local_steps=2)
    agent.train(ALONE, 1)
    with pytest.raises(TrainingError, match="the same in 3 batches in a row") as error:
        agent.train(ALONE, 2)
    assert "encoder.dropout" in error.value.hint


def test_views_that_never_differ_are_told_apart_by_dropout(make_agent):
    agent = make_agent(whole(), dropout=0.1, max_length=40, local_steps=4)
    assert np.isfinite(agent.train(ALONE, 1)["loss"])


def test_equal_views_are_forgotten_when_some_differ(make_agent, look):
    agent = make_agent(whole(), max_length=40)
    for index, objective in enumerate((whole(), whole(), InfoNCE(), whole(), whole())):
        look(objective, agent, index)
    with pytest.raises(TrainingError, match="3 batches"):
        look(whole(), agent, 5)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (InfoNCE, {"guide": "momentum"}, "set queue"),
        (InfoNCE, {"momentum": 0.9}, "belongs to a queue"),
        (InfoNCE, {"margin": 0.1}, "belongs to a guide"),
        (NTXent, {"margin": 0.1}, "belongs to a guide"),
        (NTXent, {"guide": "momentum"}, "'none' or 'self'"),
        (InfoNCE, {"learn_temperature": True, "temperature": 0.005}, "stays above 0.01"),
        (SimCSE, {"views": ["crop"]}, "Extra inputs"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(kind, fields, words):
    with pytest.raises(ValidationError, match=words):
        kind(**fields)
