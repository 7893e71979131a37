"""The momentum encoder and its queue against plain MoCo: two modules, and a list of keys."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.objectives import InfoNCE
from agents.objectives.momentum import fingerprints
from agents.text.tokens import Text
from agents.training import trainer
from agents.training.blueprint import Arm

ALONE = Arm(Isolated(), 0.0)
STEPS = 7
TRAINING = {
    "batch_size": 3,
    "warmup_steps": 0,
    "learning_rate": 3e-4,
    "clip_norm": None,
    "weight_decay": 0.0,
    "local_steps": 1,
}


class PlainMoCo:
    """MoCo as its paper tells it, one query and one key at a time."""

    def __init__(self, agent, objective) -> None:
        self.objective = objective
        self.encoder, self.key_encoder = (copy.deepcopy(agent.encoder).train() for _ in "qk")
        self.optimizer = torch.optim.AdamW(
            [p for p in self.encoder.parameters() if p.requires_grad], lr=3e-4, weight_decay=0.0
        )
        self.queue: list[tuple[tuple[int, ...], torch.Tensor]] = []
        self.steps = self.same = 0

    def embed(self, encoder, views, half):
        rows = slice(*((0, 3) if half == 0 else (3, 6)))
        ids = torch.from_numpy(views.input_ids[rows])
        mask = torch.from_numpy(views.attention_mask[rows])
        return normalize(encoder.projection(encoder(ids, mask)), dim=-1)

    def direction(self, documents, queries, keys) -> torch.Tensor:
        losses = []
        for i, query in enumerate(queries):
            logits = [query @ keys[i]]
            logits += [query @ key for j, key in enumerate(keys) if j != i]
            others = [key for document, key in self.queue if document != documents[i]]
            self.same += len(self.queue) - len(others)
            logits += [query @ key for key in others]
            scores = torch.stack(logits) / self.objective.temperature
            losses.append(cross_entropy(scores.unsqueeze(0), torch.zeros(1, dtype=torch.long)))
        return torch.stack(losses).mean()

    def step(self, ready) -> float:
        momentum = self.objective.momentum
        if self.steps:
            with torch.no_grad():
                pairs = zip(self.key_encoder.parameters(), self.encoder.parameters(), strict=True)
                for slow, fast in pairs:
                    slow.copy_(momentum * slow + (1 - momentum) * fast)
        views = ready.inputs[0]["views"]
        documents = [tuple(text.tokens.tolist()) for text in ready.texts]
        with torch.no_grad():
            keys = [self.embed(self.key_encoder, views, half) for half in (0, 1)]
        loss = self.direction(documents, self.embed(self.encoder, views, 0), keys[1])
        new = list(zip(documents, keys[1], strict=True))
        if self.objective.direction == "both":
            back = self.direction(documents, self.embed(self.encoder, views, 1), keys[0])
            loss = (loss + back) / 2
            new = [*zip(documents, keys[0], strict=True), *new]
        self.queue = [*self.queue, *new][-self.objective.queue :]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()


def host_of(make_host, objective, dropout=0.0, **training):
    encoder = EncoderConfig(preset="nano", dropout=dropout, projection=8)
    host = make_host(
        1, encoders=(encoder,), objectives=(objective,), training={**TRAINING, **training}
    )
    host.begin(ALONE)
    return host


@pytest.mark.parametrize("direction", ["first", "both"])
def test_queue_and_momentum_encoder_give_the_losses_of_plain_moco(make_host, direction):
    objective = InfoNCE(queue=7, momentum=0.6, temperature=0.2, direction=direction)
    agent = host_of(make_host, objective).agents[0]
    twin = host_of(make_host, objective, local_steps=STEPS).agents[0]
    plain = PlainMoCo(twin, objective)
    expected = [plain.step(job()) for job in trainer.jobs(twin, ALONE)]
    actual = [agent.train(ALONE, round)["loss"] for round in range(1, STEPS + 1)]
    np.testing.assert_allclose(actual, expected, rtol=2e-4)
    state = agent.state.objectives[0]
    torch.testing.assert_close(
        state.queue, torch.stack([key for _, key in plain.queue]), rtol=1e-3, atol=1e-4
    )
    assert plain.same > 0, "no document met its own key"


def test_documents_in_the_queue_are_no_negatives_of_themselves(make_agent, look):
    objective = InfoNCE(queue=100, direction="first")
    agent = make_agent(objective)
    first, _ = look(objective, agent, index=0, rows=[3])
    # One document alone in its batch, and alone in the queue: nothing to tell it from.
    again, _ = look(objective, agent, index=1, rows=[3])
    other, _ = look(objective, agent, index=2, rows=[4])
    assert first.loss.item() == again.loss.item() == 0.0
    assert other.loss.item() > 0.0


def test_fingerprints_agree_for_equal_tokens_of_any_storage():
    tokens = np.array([4, 7, 7, 1], dtype=np.int32)
    wide = np.repeat(tokens, 2)[::2]
    same = fingerprints([Text.of(tokens), Text.of(wide), Text.of(tokens[:3])])
    assert same.dtype == np.int64
    assert same[0] == same[1] != same[2]


def test_momentum_encoder_moves_once_in_a_step_however_many_batches_it_has(make_agent, look):
    objective = InfoNCE(queue=5, momentum=0.5)
    agent = make_agent(objective)
    look(objective, agent, index=0)
    before = agent.parameters.clone()
    agent.parameters.add_(1.0)
    look(objective, agent, index=0)
    state = agent.state.objectives[0]
    torch.testing.assert_close(state.momentum_parameters, before)
    for _ in range(2):
        look(objective, agent, index=1)
        torch.testing.assert_close(state.momentum_parameters, before + 0.5)


def test_view_that_seeks_nothing_is_read_by_the_momentum_encoder_alone(make_agent, look):
    objective = InfoNCE(queue=5, direction="first")
    agent = make_agent(objective)
    result, step = look(objective, agent)
    lengths = step.inputs["views"].lengths
    np.testing.assert_array_equal(result.token_counts, lengths[:6])
    assert result.embedded_tokens == lengths[6:].sum()
    assert len(result.pooled) == 1


def test_momentum_guide_leaves_out_what_its_own_keys_find_too_alike(make_agent, look):
    guided = InfoNCE(queue=50, direction="first", guide="momentum", temperature=0.5, margin=-0.01)
    agent = make_agent(guided)
    look(guided, agent, index=0, rows=range(6, 12))
    queue = agent.state.objectives[0].queue.clone()
    result, step = look(guided, agent, index=1)
    assert len(queue) == 6
    agent.encoder.train()
    views = agent.encoder.pool_batch(step.inputs["views"])
    own, keys = (normalize(half, dim=-1) for half in views.detach().chunk(2))
    candidates = torch.cat([keys, queue])
    losses, left_out = [], 0
    for i, query in enumerate(own):
        kept = [
            j
            for j in range(12)
            if j == i or not query @ candidates[j] > query @ candidates[i] + 0.01
        ]
        left_out += 12 - len(kept)
        scores = torch.stack([query @ candidates[j] for j in kept]) / 0.5
        losses.append(-torch.log_softmax(scores, dim=0)[kept.index(i)])
    assert left_out > 0
    told = result.metrics["false_negatives"]
    assert (int(told.total), told.count) == (left_out, 6 * 11)
    assert result.loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_encoder_under_other_parameters_is_the_encoder_of_those_parameters(
    make_agent, look, precision
):
    objective = InfoNCE()
    agent = make_agent(objective, precision=precision)
    batch = look(objective, agent)[1].inputs["views"]
    encoder, resident = agent.encoder, agent.resident
    other = agent.parameters * 0.5
    with resident.autocast():
        own = encoder.pool_batch(batch)
        there = resident.under(other, lambda: encoder.pool_batch(batch))
        back = encoder.pool_batch(batch)
    agent.parameters.copy_(other)
    with resident.autocast(), torch.no_grad():
        expected = encoder.pool_batch(batch)
    assert torch.equal(own, back)
    assert torch.equal(there, expected)
    assert back.requires_grad
    assert not there.requires_grad


@pytest.mark.parametrize(
    "parameters",
    [
        {"queue": 16, "momentum": 0.9, "learn_temperature": True, "guide": "momentum"},
        {"queue": 5, "momentum": 0.0, "direction": "first", "hardness": 0.5},
    ],
)
def test_training_goes_on_to_the_same_bits_from_a_copy_of_the_state(make_host, parameters):
    objective = InfoNCE(**parameters)

    def make():
        return host_of(make_host, objective, dropout=0.1, accumulate=2, local_steps=2).agents[0]

    agent = make()
    agent.train(ALONE, 1)
    kept = copy.deepcopy(agent.state)
    agent.train(ALONE, 2)
    resumed = make()
    resumed.state = kept
    resumed.train(ALONE, 2)
    assert torch.equal(agent.parameters, resumed.parameters)
    mine, other = agent.state.objectives[0], resumed.state.objectives[0]
    assert mine.queue is not None
    for name, value in vars(mine).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(other, name))), name
    names = [slot.name for slot in agent.resident.binding.layout.slots]
    assert ("heads.info_nce_temperature.log_scale" in names) == objective.learn_temperature
