from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.objectives import InfoNCE, Labelled, LossOutput, MaskedLM, Objective
from agents.training.blueprint import Arm
from protocols.errors import ModelError, TrainingError

ALONE = Arm(Isolated(), anchor_fraction=0.25)
NOISY = EncoderConfig(preset="nano")


def train(host, rounds: int, arm: Arm = ALONE) -> list[dict[int, dict[str, float]]]:
    host.begin(arm)
    return [host.train(round) for round in range(1, rounds + 1)]


def test_learning_rate_rises_over_the_warm_up_steps_and_stays(make_host):
    host = make_host(1, training={"local_steps": 3, "warmup_steps": 4, "learning_rate": 0.01})
    seen = []
    optimizer = host.residents[0].optimizer
    optimizer.register_step_pre_hook(
        lambda self, args, kwargs: seen.append([group["lr"] for group in self.param_groups])
    )
    train(host, 2)
    expected = [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01]
    np.testing.assert_allclose(seen, np.column_stack([expected, expected]))


def test_learning_rate_without_warm_up_is_at_its_peak_from_the_first_step(make_host):
    host = make_host(1, training={"local_steps": 1, "warmup_steps": 0, "learning_rate": 0.01})
    train(host, 1)
    assert host.residents[0].optimizer.param_groups[0]["lr"] == 0.01


def test_weight_decay_takes_matrices_and_spares_vectors_and_the_frozen(make_host):
    # Where the gradient is zero, decay alone moves a parameter: the classifier is never trained here.
    host = make_host(
        1,
        heads=Heads(classes=4),
        training={"local_steps": 1, "warmup_steps": 0, "learning_rate": 0.1, "weight_decay": 0.5},
    )
    host.begin(ALONE)
    encoder = host.agents[0].encoder
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    host.train(1)
    after = dict(host.agents[0].encoder.named_parameters())
    torch.testing.assert_close(after["classifier.weight"], before["classifier.weight"] * 0.95)
    assert torch.equal(after["classifier.bias"], before["classifier.bias"])
    pooler = "backbone.pooler.dense.weight"
    assert torch.equal(after[pooler], before[pooler])


def test_bf16_autocast_trains_close_to_fp32_and_keeps_fp32_parameters(make_host):
    losses = {}
    for precision in ("fp32", "bf16"):
        host = make_host(1, training={"precision": precision, "local_steps": 4})
        losses[precision] = train(host, 2)[-1][0]["loss"]
        assert host.agents[0].state.parameters.dtype == torch.float32
        assert host.agents[0].embed(["wave tide"]).dtype == np.float32
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


def test_loss_that_is_not_finite_stops_training_with_a_hint(make_host):
    host = make_host(1, training={"learning_rate": 1e30, "warmup_steps": 0, "local_steps": 3})
    with pytest.raises(TrainingError, match=r"agent-0 is not finite in round 1") as error:
        train(host, 1)
    assert "learning_rate" in error.value.hint


class Poison(AnchorContrast):
    """An exchange whose loss is not a number."""

    kind: Literal["poison"] = "poison"

    def loss(self, learner, anchors, rng):
        return anchors.pooled[0].sum() * float("nan")


def test_exchange_loss_that_is_not_finite_stops_training_even_in_the_last_step(make_host):
    host = make_host(1, training={"local_steps": 1})
    with pytest.raises(TrainingError, match="not finite"):
        train(host, 1, Arm(Poison(), 0.25))


def test_training_lowers_the_loss(make_host):
    host = make_host(1, training={"local_steps": 15, "learning_rate": 2e-3})
    first, second, third = (metrics[0]["loss"] for metrics in train(host, 3))
    assert max(second, third) < 0.8 * first


def test_objectives_that_encode_once_share_a_pass_and_learn_what_they_do_apart(
    make_host, monkeypatch
):
    from agents.training import local_loss

    results = []
    for together in (True, False):
        monkeypatch.setattr(local_loss, "_passes_whole", lambda resident, yes=together: yes)
        objectives = (InfoNCE(), MaskedLM(weight=0.5), Labelled(classes=4))
        host = make_host(1, objectives=objectives)
        passes: list[int] = []
        backbone = host.residents[0].encoder.backbone
        backbone.register_forward_pre_hook(lambda *_, seen=passes: seen.append(1))
        metrics = train(host, 2)[-1][0]
        parts = [each.weight * metrics[f"{each.kind}_loss"] for each in objectives]
        assert metrics["loss"] == pytest.approx(sum(parts), rel=1e-5)
        results.append((len(passes), metrics["loss"], host.agents[0].parameters.clone()))
    (shared, loss, parameters), (apart, expected, reference) = results
    assert apart == 3 * shared
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(parameters, reference, rtol=1e-3, atol=1e-5)


class Recording(Objective):
    """Remember the documents of every step; learn as little as possible."""

    kind: Literal["recording"] = "recording"

    def prepare(self, draft):
        SEEN.append([tuple(text.tokens.tolist()) for text in draft.texts])
        return {"texts": draft.collate(draft.texts)}

    def loss(self, step):
        batch = step.inputs["texts"]
        pooled = step.encode(batch)
        return LossOutput(pooled.mean(), batch.lengths, (pooled,))


SEEN: list[list[tuple[int, ...]]] = []


@pytest.fixture(autouse=True)
def _forget():
    SEEN.clear()


def test_batch_ends_in_anchors_and_never_holds_a_document_twice(make_host, documents):
    host = make_host(1, objectives=(Recording(),), training={"local_steps": 9, "batch_size": 8})
    train(host, 1, Arm(Isolated(), 0.4))
    anchors = {tuple(documents[row].tolist()) for row in range(12)}
    private = {tuple(documents[row].tolist()) for row in host.blueprint.members[0].rows}
    assert len(anchors) == 12
    assert len(private) == 8
    for batch in SEEN:
        assert set(batch[:5]) <= private
        assert set(batch[5:]) <= anchors
        assert len(batch) == len(set(batch)) == 8


def test_agent_with_little_text_takes_smaller_batches(make_host):
    host = make_host(1, objectives=(Recording(),), training={"batch_size": 64})
    train(host, 1, Arm(Isolated(), 0.0))
    assert [len(batch) for batch in SEEN] == [8, 8]
    assert set(SEEN[0]) == set(SEEN[1])


def test_society_without_anchors_trains(make_host):
    host = make_host(1, objectives=(Recording(),), anchors=0, training={"batch_size": 4})
    metrics = train(host, 1, Arm(Isolated(), 0.0))[0][0]
    assert [len(batch) for batch in SEEN] == [4, 4]
    assert metrics["anchor_tokens"] == 0


def test_metrics_count_the_tokens_of_texts_and_of_anchors_among_them(make_host):
    host = make_host(1, objectives=(Recording(),), training={"batch_size": 8, "max_length": 12})
    metrics = train(host, 1, Arm(Isolated(), 0.25))[0][0]
    lengths = [[min(len(text), 10) + 2 for text in batch] for batch in SEEN]
    assert metrics["tokens"] == sum(map(sum, lengths))
    assert metrics["anchor_tokens"] == sum(sum(batch[-2:]) for batch in lengths)
    assert metrics["steps"] == len(SEEN) == 2
    assert metrics["train_s"] > 0
    assert "exchange_loss" not in metrics


def test_several_objectives_add_up_by_weight(make_host):
    def loss(*objectives):
        host = make_host(1, objectives=objectives, training={"local_steps": 1})
        return train(host, 1)[0][0]["loss"]

    recording, contrast = loss(Recording()), loss(InfoNCE())
    together = loss(Recording(weight=2.0), InfoNCE(weight=0.5))
    # The views of an objective depend on its place, so only InfoNCE's first place is comparable.
    swapped = loss(InfoNCE(weight=0.5), Recording(weight=2.0))
    assert swapped == pytest.approx(2.0 * recording + 0.5 * contrast, rel=1e-5)
    assert together != swapped


def test_dropout_views_are_refused_where_there_is_no_dropout(make_host):
    objectives = (InfoNCE(views=({"kind": "dropout"},)),)
    with pytest.raises(ModelError, match="relies on dropout") as error:
        make_host(1, objectives=objectives)
    assert "crop" in error.value.hint
    make_host(1, encoders=(NOISY,), objectives=objectives)
    mixed = (InfoNCE(views=({"kind": "dropout"}, {"kind": "crop"})),)
    make_host(1, objectives=mixed)


class Silent(Objective):
    """An objective that offers no pooled views: the exchange has to encode the anchors itself."""

    kind: Literal["silent"] = "silent"

    def prepare(self, draft):
        return {"texts": draft.collate([text.span(0, 4) for text in draft.texts])}

    def loss(self, step):
        batch = step.inputs["texts"]
        return LossOutput(step.encode(batch).pow(2).mean(), batch.lengths)


def test_exchange_encodes_anchors_itself_when_no_objective_offers_views(make_host):
    host = make_host(1, objectives=(Silent(),))
    host.begin(Arm(AnchorContrast(), anchor_fraction=0.25))
    agent = host.agents[0]
    first = host.train(1)
    agent.exchange_state.banks = {1: agent.embed_anchors(crops=2, round=1)}
    agent.exchange_state.exchanges = 2
    second = host.train(2)
    # 2 steps x 11 documents of 4 tokens between [CLS] and [SEP]; two crops of each anchor come on top.
    plain = 2 * 11 * 6
    assert "exchange_loss" not in first[0]
    assert second[0]["exchange_loss"] > 0
    assert second[0]["tokens"] > plain


def test_agent_of_which_nothing_is_trained_takes_no_step_beside_those_that_do(make_host):
    frozen = EncoderConfig(preset="nano", frozen_layers=2, dropout=0.0)
    host = make_host(2, encoders=(frozen, EncoderConfig(preset="nano", dropout=0.0)))
    first, second = train(host, 2)
    assert len(host.agents[0].parameters) == 0
    for report in (first[0], second[0]):
        assert (report["steps"], report["tokens"]) == (0, 0)
        assert "loss" not in report
    assert second[1]["steps"] == 2
    assert second[1]["tokens"] > 0


def test_frozen_encoder_waits_until_its_exchange_head_has_something_to_learn(make_host):
    frozen = EncoderConfig(preset="nano", frozen_layers=2, dropout=0.0)
    host = make_host(1, encoders=(frozen,), heads=Heads(exchange_dimension=16))
    exchange = AnchorContrast(dimension=16)
    host.begin(Arm(exchange, exchange.anchor_fraction))
    agent = host.agents[0]
    weight = agent.encoder.exchange_head.weight
    assert "exchange_loss" not in host.train(1)[0]
    bank = agent.embed_anchors(crops=2, round=1).flip(1)
    agent.exchange_state.banks, agent.exchange_state.exchanges = {1: bank}, 2
    before = weight.detach().clone()
    assert host.train(2)[0]["exchange_loss"] > 0
    assert not torch.equal(weight, before)


def test_last_step_that_ruins_the_parameters_stops_training(make_host):
    # The only loss of the round is computed before its only step.
    training = {"learning_rate": 1e38, "warmup_steps": 0, "local_steps": 1, "weight_decay": 1e3}
    with pytest.raises(TrainingError, match="parameters of agent-0 is not finite in round 1"):
        train(make_host(1, training=training), 1)


class Ruined(Objective):
    """An objective whose loss is not a number where a text of `ROTTEN` is in the batch."""

    kind: Literal["ruined"] = "ruined"

    def prepare(self, batch):
        rotten = any(tuple(text.tokens.tolist()) in ROTTEN for text in batch.texts)
        return {"texts": batch.collate(batch.texts), "rotten": np.array(rotten)}

    def loss(self, step):
        batch = step.inputs["texts"]
        pooled = step.encode(batch)
        factor = torch.where(step.inputs["rotten"], torch.tensor(float("nan")), torch.tensor(1.0))
        return LossOutput(pooled.square().mean() * factor, batch.lengths, (pooled,))


ROTTEN: set[tuple[int, ...]] = set()


def test_round_of_an_agent_that_diverges_is_undone_where_the_arm_says_so(make_host, documents):
    host = make_host(2, objectives=(Ruined(),), training={"view_workers": 0})
    host.begin(Arm(Isolated(), 0.0, undoes_diverged=True))
    host.train(1)
    before = {id: host.agents[id].state.to_tree() for id in (0, 1)}
    parameters = before[1]["parameters"].clone()
    moments = [{k: v.clone() for k, v in each.items()} for each in before[1]["optimizer"]]
    ROTTEN.update(tuple(documents[int(row)].tolist()) for row in host.agents[1]._private.rows)
    try:
        metrics = host.train(2)
    finally:
        ROTTEN.clear()
    assert "diverged" not in metrics[0]
    assert metrics[1]["diverged"] == 1.0
    assert "loss" not in metrics[1]
    assert metrics[1]["tokens"] > 0
    state = host.agents[1].state
    assert torch.equal(state.parameters, parameters)
    for now, then in zip(state.optimizer, moments, strict=True):
        assert all(torch.equal(now[key], then[key]) for key in then)
    assert state.step == before[1]["step"]
    assert state.batches == before[1]["batches"] + 2  # on in its text
    assert np.isfinite(host.train(3)[1]["loss"])
