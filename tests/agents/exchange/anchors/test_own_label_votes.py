"""Votes on the anchors by each agent's own labels: their numbers, their fusion, and why they vote."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.exchange import Turn
from agents.exchange.anchors.classes import own_label_cosines
from agents.exchange.anchors.codistillation import Codistillation
from agents.exchange.anchors.dsfl import DSFL
from agents.exchange.anchors.fedmd import FedMD
from agents.exchange.anchors.fedproto import FedProto
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange, balanced
from agents.exchange.base import AnchorBatch, Heads
from agents.models.heads.label_head import LabelHead
from agents.objectives.labelled import LABEL_HEAD
from protocols.messages import PseudoLabels
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

PEER = Turn(round=1, hop=0, direction=Direction.PEER)
EXCHANGES = [
    PseudoLabelExchange(classes=4, labels="own"),
    FedMD(classes=4, labels="own"),
    DSFL(classes=4, labels="own"),
    Codistillation(over="classes", classes=4, labels="own"),
]
KINDS = [each.kind for each in EXCHANGES]


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def slow_cosines(learner, crops, classes, round=1):
    """Class means of own labelled documents, document by document, about the mean of the anchors."""
    anchors = learner.embed_anchors(crops, round).double().numpy().mean(axis=0)
    values, codes = learner.embed_labelled(crops, round)
    documents, centre = values.double().numpy().mean(axis=0), anchors.mean(axis=0)
    found = np.zeros((len(anchors), classes))
    for k in range(classes):
        members = [unit(documents[i] - centre) for i in range(len(documents)) if codes[i] == k]
        for n, anchor in enumerate(anchors):
            if members:
                found[n, k] = unit(anchor - centre) @ unit(np.mean(members, axis=0))
    return found


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.fixture
def own_learner(make_learner, draw):
    """Make a learner of six anchors that has labels of classes 0, 1 and 3 of four."""

    def make(id=0):
        labelled = draw(2, 5, 5), torch.tensor([3, 0, 1, 3, 3])
        learner = make_learner(id=id, labelled=labelled)
        learner.encoder.heads = {LABEL_HEAD: torch.nn.Linear(5, 4)}
        return learner

    return make


def test_cosines_are_those_to_the_means_of_own_labelled_documents(own_learner):
    learner = own_learner()
    found = own_label_cosines(learner, PEER, 2, 4)
    np.testing.assert_allclose(found, slow_cosines(learner, 2, 4), atol=1e-5)
    assert (found[:, 2] == 0).all()


@pytest.mark.parametrize("exchange", EXCHANGES, ids=KINDS)
def test_agents_send_their_own_cosines_and_never_the_answer_of_the_head(exchange, own_learner):
    learner = own_learner()
    payload = exchange.compose(learner, PEER)
    scores = slow_cosines(learner, 2, 4) / exchange.temperature
    sent, expected = (
        (payload.probabilities, softmax(scores))
        if isinstance(payload, PseudoLabels)
        else (payload.values, scores)
    )
    np.testing.assert_allclose(sent, expected, atol=1e-4)
    with torch.no_grad():
        learner.encoder.heads[LABEL_HEAD].weight.fill_(7.0)
    again = exchange.compose(learner, PEER)
    for name in payload.array_fields:
        np.testing.assert_array_equal(getattr(again, name), getattr(payload, name))


@pytest.mark.parametrize("exchange", EXCHANGES, ids=KINDS)
def test_head_of_own_labels_learns_what_neighbours_vote(exchange, own_learner, message, draw):
    learner, other = own_learner(), own_learner(1)
    exchange = exchange.model_copy(update={"ramp": 1})
    exchange.merge(learner, [message(exchange.compose(other, PEER), 1)], PEER)
    views = AnchorBatch(torch.arange(6), (draw(6, 5),))
    exchange.loss(learner, views, np.random.default_rng(0)).backward()
    assert learner.encoder.heads[LABEL_HEAD].weight.grad.abs().max() > 0
    assert exchange.heads(frozenset({5})) == Heads()  # no second classifier


@pytest.mark.parametrize(
    ("topology", "top"), [(Ring(), None), (MasterSlave(master=3), 3), (Layered(), 0)], ids=str
)
def test_societies_fuse_the_votes_of_everybodys_own_labels(topology, top, make_society):
    society = make_society(PseudoLabelExchange(classes=4, labels="own"), topology)
    agents = society.host.agents
    votes = np.stack([softmax(slow_cosines(agents[id], 2, 4) / 0.1) for id in range(7)])
    assert np.abs(votes[0] - votes[1]).max() > 0.01
    society.run(1)
    for id in range(7):
        among = [(id - 1) % 7, (id + 1) % 7] if top is None else list(range(7))
        if id == top:
            among.remove(top)
        teacher = agents[id].exchange_state.teacher
        np.testing.assert_allclose(teacher, votes[among].mean(axis=0), rtol=1e-3, atol=1e-5)


def test_unsure_agents_send_uniform_labels(own_learner):
    learner = own_learner()
    every = softmax(slow_cosines(learner, 2, 4) / 0.1)
    bound = float(np.sort(every.max(axis=1))[2:4].mean())
    exchange = PseudoLabelExchange(classes=4, labels="own", abstain=bound)
    sent = exchange.compose(learner, PEER).probabilities
    unsure = [n for n in range(6) if max(every[n]) < bound]
    assert len(unsure) == 3
    for n in range(6):
        np.testing.assert_allclose(sent[n], [0.25] * 4 if n in unsure else every[n], atol=1e-4)


def test_balance_divides_by_the_mean_of_each_class():
    labels = np.random.default_rng(0).dirichlet((4.0, 1.0, 0.3), 20)
    expected = []
    for row in labels:
        scaled = [p / labels[:, k].mean() for k, p in enumerate(row)]
        expected.append([p / sum(scaled) for p in scaled])
    np.testing.assert_allclose(balanced(torch.from_numpy(labels)), expected)
    absent = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert balanced(absent)[:, 2].tolist() == [0.0, 0.0]
    assert torch.isfinite(balanced(absent)).all()


def test_balance_applies_to_the_fused_labels(own_learner, message):
    learner, others = own_learner(), [own_learner(1), own_learner(2)]
    exchange = PseudoLabelExchange(classes=4, labels="own", balance=True)
    sent = [exchange.compose(each, PEER) for each in others]
    exchange.merge(learner, [message(each, i + 1) for i, each in enumerate(sent)], PEER)
    mean = torch.from_numpy(np.mean([each.probabilities for each in sent], axis=0))
    torch.testing.assert_close(learner.exchange_state.teacher, balanced(mean))


def test_prototypes_are_of_the_classes_that_own_labels_give_the_anchors(own_learner, message, draw):
    learner, other = own_learner(), own_learner(1)
    exchange = FedProto(classes=4, labels="own", ramp=1)
    own, sent = exchange.compose(learner, PEER), exchange.compose(other, PEER)
    total, counts = np.zeros((4, 5)), np.zeros(4)
    for agent, payload in ((learner, own), (other, sent)):
        classes = slow_cosines(agent, 2, 4).argmax(axis=1)
        assert agent.exchange_state.classes.tolist() == classes.tolist()
        means = agent.embed_anchors(2, 1).numpy().mean(axis=0)
        for k in range(4):
            members = means[classes == k]
            assert payload.counts[k] == len(members)
            if len(members):
                np.testing.assert_allclose(payload.values[k], members.mean(axis=0), rtol=1e-4)
            total[k] += members.sum(axis=0)
            counts[k] += len(members)
    exchange.merge(learner, [message(sent, 1)], PEER)
    view = draw(6, 5)
    loss = exchange.loss(learner, AnchorBatch(torch.arange(6), (view,)), np.random.default_rng(0))
    own_classes = learner.exchange_state.classes.tolist()
    distances = [
        np.square(unit(view[n].double().numpy()) - total[k] / counts[k]).sum()
        for n, k in enumerate(own_classes)
    ]
    assert loss.item() == pytest.approx(np.mean(distances), rel=1e-4)


def test_prototypes_are_not_learnt_before_the_agent_has_classified_the_anchors(
    own_learner, message, draw
):
    learner, other = own_learner(), own_learner(1)
    exchange = FedProto(classes=4, labels="own", ramp=1)
    down = Turn(round=1, hop=1, direction=Direction.DOWN)
    exchange.merge(learner, [message(exchange.compose(other, PEER), 1, hop=1)], down)
    assert learner.exchange_state.fused is not None
    views = AnchorBatch(torch.arange(6), (draw(6, 5),))
    assert exchange.loss(learner, views, np.random.default_rng(0)) is None


class VotesOfTheLearner(DSFL):
    """The loop that `labels: own` avoids: the head that learns the fused labels casts the votes."""

    def scores(self, learner, turn):
        with torch.no_grad():
            return learner.encoder.heads[LABEL_HEAD](learner.pooled)


CLASSES, WIDTH, ANCHORS, AGENTS = 8, 8, 240, 4


def noisy_agents(make_learner, seed):
    """Make agents with one labelled document a class, and noisy views of one set of anchors."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    means_KW = normal(CLASSES, WIDTH)
    truth_N = torch.randint(CLASSES, (ANCHORS,), generator=generator)
    anchors_NW = means_KW[truth_N] + normal(ANCHORS, WIDTH)
    learners = []
    for id in range(AGENTS):
        turn_WW = torch.linalg.qr(normal(WIDTH, WIDTH))[0]
        pooled_NW = (anchors_NW + 0.5 * normal(ANCHORS, WIDTH)) @ turn_WW + 3
        labelled_KW = (means_KW + normal(CLASSES, WIDTH)) @ turn_WW + 3
        labelled = labelled_KW[None], torch.arange(CLASSES)
        learner = make_learner(id=id, labelled=labelled)
        learner._embeddings = F.normalize(pooled_NW, dim=-1)[None]
        learner.anchor_count, learner.pooled = ANCHORS, pooled_NW
        head = LabelHead(WIDTH, CLASSES)
        torch.nn.init.zeros_(head.linear.weight)
        torch.nn.init.zeros_(head.linear.bias)
        head.track(pooled_NW)
        learner.encoder.heads = {LABEL_HEAD: head}
        learners.append(learner)
    return learners, truth_N


def after_rounds(exchange, learners, truth_N, message, rounds=16, steps=10):
    """Train heads on own and on fused labels; return their accuracy and the classes they still give."""
    everything = torch.arange(ANCHORS)
    optimizers = [
        torch.optim.SGD(each.encoder.heads[LABEL_HEAD].parameters(), 0.5 / (1 + exchange.weight))
        for each in learners
    ]
    for round in range(1, rounds + 1):
        for learner, optimizer in zip(learners, optimizers, strict=True):
            labelled_CKW, classes_K = learner._labelled
            batch = AnchorBatch(everything, (learner.pooled,))
            for _ in range(steps):
                loss = F.cross_entropy(
                    learner.encoder.heads[LABEL_HEAD](labelled_CKW[0]), classes_K
                )
                learnt = exchange.loss(learner, batch, np.random.default_rng(0))
                optimizer.zero_grad()
                (loss if learnt is None else loss + learnt).backward()
                optimizer.step()
        turn = Turn(round=round, hop=0, direction=Direction.PEER)
        sent = {each.id: exchange.compose(each, turn) for each in learners}
        for learner in learners:
            others = [message(p, id, round) for id, p in sent.items() if id != learner.id]
            exchange.merge(learner, others, turn)
    guesses = [each.encoder.heads[LABEL_HEAD](each.pooled).argmax(dim=1) for each in learners]
    accuracy = np.mean([(guess == truth_N).double().mean().item() for guess in guesses])
    left = [(torch.bincount(guess, minlength=CLASSES) > 0.01 * ANCHORS).sum() for guess in guesses]
    return float(accuracy), float(np.mean(left))


@pytest.mark.parametrize("seed", [0, 1])
def test_votes_of_the_head_that_learns_them_collapse_and_votes_of_own_labels_do_not(
    make_learner, message, seed
):
    found = {}
    for strategy in (DSFL, VotesOfTheLearner):
        exchange = strategy(classes=CLASSES, labels="own", crops=1, weight=20.0, ramp=1)
        learners, truth_N = noisy_agents(make_learner, seed)
        early = after_rounds(exchange, learners, truth_N, message, rounds=2)
        learners, truth_N = noisy_agents(make_learner, seed)
        found[strategy] = early, after_rounds(exchange, learners, truth_N, message)
    (early, _), (late, classes) = found[DSFL]
    assert late > early, found
    assert classes == CLASSES, found
    (early, classes), (loop, classes_left) = found[VotesOfTheLearner]
    assert classes == CLASSES, found
    assert classes_left <= CLASSES - 3, found
    assert loop < early - 0.05, found
    assert late > loop + 0.1, found
