from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.config import EncoderConfig
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.isolated import Isolated
from agents.objectives import InfoNCE, RawBatch, Step, functional
from agents.objectives.base import Neighbours
from agents.text.tokens import Text
from agents.training.blueprint import Arm
from agents.views import Crop, Dropout


def agent_of(make_host, projection=0):
    encoder = EncoderConfig(preset="nano", dropout=0.0, projection=projection)
    host = make_host(1, encoders=(encoder,))
    host.begin(Arm(Isolated(), 0.0))
    return host.agents[0]


def look(objective, agent, documents):
    texts = [Text.of(tokens) for tokens in documents[:6]]
    raw = RawBatch(texts, agent.resident.collate, agent.setting, np.random.default_rng(2))
    inputs = agent.resident.to_device(objective.prepare(raw))
    step = Step(agent.encoder, inputs, np.random.default_rng(2), state=objective.state_type())
    return objective.loss(step), texts


def test_loss_is_info_nce_between_two_rounds_of_views_read_in_order(make_host, documents):
    agent = agent_of(make_host)
    result, texts = look(InfoNCE(temperature=0.2), agent, documents)
    rng, crop, resident = np.random.default_rng(2), Crop(), agent.resident
    views = [
        resident.batch(resident.collate([crop.apply(text, agent.setting, rng) for text in texts]))
        for _ in range(2)
    ]
    first, second = (agent.encoder(view.input_ids, view.attention_mask) for view in views)
    torch.testing.assert_close(result.loss, functional.info_nce(first, second, 0.2))
    torch.testing.assert_close(result.pooled, (first, second), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result.token_counts, views[0].lengths + views[1].lengths)


def test_loss_is_taken_behind_the_projection_and_pooled_states_before_it(make_host, documents):
    agent = agent_of(make_host, projection=8)
    result, _ = look(InfoNCE(temperature=0.2), agent, documents)
    assert result.pooled[0].shape == (6, 64)
    projected = [agent.encoder.projection(view) for view in result.pooled]
    assert projected[0].shape == (6, 8)
    torch.testing.assert_close(result.loss, functional.info_nce(*projected, 0.2))


def test_several_views_are_applied_one_after_another(make_host, documents):
    twice = InfoNCE(views=({"kind": "crop", "shortest": 0.5, "longest": 0.5},) * 2)
    result, texts = look(twice, agent_of(make_host), documents)
    for count, text in zip(result.token_counts, texts, strict=True):
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


def test_first_direction_is_the_first_view_seeking_the_second(make_agent, look):
    objective = InfoNCE(temperature=0.2, direction="first")
    result, _ = look(objective, make_agent(objective))
    torch.testing.assert_close(result.loss, functional.one_way(*result.pooled, 0.2))


@pytest.mark.parametrize("direction", ["first", "both"])
def test_neighbours_are_negatives_in_the_exchange_space_but_not_of_their_own_anchor(
    make_agent, look, direction
):
    objective = InfoNCE(temperature=0.2, neighbours=True, direction=direction)
    agent = make_agent(objective, projection=8)
    draw = torch.Generator().manual_seed(0)
    sent = torch.nn.functional.normalize(torch.randn(5, 64, generator=draw), dim=-1)
    anchors = torch.tensor([0, 1, 7, 0, 9])
    own = np.array([7, 0])  # of the last two documents
    neighbours = Neighbours(sent, anchors)
    result, _ = look(objective, agent, anchors=own, neighbours=neighbours)
    of_document = [None, None, None, None, 7, 0]
    pooled = result.pooled
    views = [functional.normalise(agent.encoder.projection(view)) for view in pooled]
    losses = []
    for here in (0, 1) if direction == "both" else (0,):
        for i in range(6):
            logits = [views[here][i] @ views[1 - here][i]]
            logits += [views[here][i] @ views[1 - here][j] for j in range(6) if j != i]
            exchanged = functional.normalise(agent.encoder.exchange_head(pooled[here][i]))
            logits += [
                exchanged @ row
                for row, anchor in zip(sent, anchors.tolist(), strict=True)
                if anchor != of_document[i]
            ]
            losses.append(-torch.log_softmax(torch.stack(logits) / 0.2, dim=0)[0])
    assert result.loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)
    silent, _ = look(objective, agent, anchors=own)
    assert silent.loss < result.loss


def test_trainer_hands_neighbours_only_to_objectives_that_want_them(make_host):
    losses = {}
    for neighbours in (False, True):
        host = make_host(1, objectives=(InfoNCE(neighbours=neighbours),))
        host.begin(Arm(AnchorContrast(), 0.25))
        agent = host.agents[0]
        agent.exchange_state.banks = {1: agent.embed_anchors(crops=2, round=1)}
        metrics = host.train(1)[0]
        losses[neighbours] = metrics["loss"]
    assert losses[True] > losses[False]
