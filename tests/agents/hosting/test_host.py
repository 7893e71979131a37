from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.base import ExchangeState, Turn
from agents.exchange.isolated import Isolated
from agents.hosting.delivery import Delivery
from agents.hosting.device import choose_device
from agents.hosting.host import Host
from agents.models.text_encoder import EmbeddingMap
from agents.training.agent import Agent
from agents.training.blueprint import Arm
from protocols.topologies.hops import Direction
from protocols.wire.serialize import read_envelope

CONTRAST = Arm(AnchorContrast(), 0.25)
TURN = Turn(round=1, hop=0, direction=Direction.PEER)


def test_host_builds_one_module_for_each_encoder_that_its_agents_use(make_host, make_blueprint):
    encoders = (EncoderConfig(preset="nano"), EncoderConfig(preset="tiny"))
    host = make_host(4, encoders=encoders)
    host.begin(CONTRAST)
    assert set(host.residents) == {0, 1}
    assert host.agents[0].resident is host.agents[2].resident
    assert [host.agents[id].encoder.width for id in range(4)] == [64, 128, 64, 128]
    host.build(make_blueprint(4, encoders=encoders).only({0, 2}))
    host.begin(CONTRAST)
    assert set(host.residents) == {0}
    assert set(host.agents) == {0, 2}


def test_beginning_forgets_what_agents_had_learnt_and_remembered(make_host):
    host = make_host(2)
    host.begin(CONTRAST)
    fresh = host.agents[0].state.parameters.clone()
    host.train(1)
    host.agents[0].exchange_state.banks = {}
    host.begin(Arm(Isolated(), 0.0))
    state = host.agents[0].state
    assert torch.equal(state.parameters, fresh)
    assert (state.step, state.read, state.exchange) == (0, 0, [ExchangeState()])
    assert state.optimizer == [{}, {}]


def test_messages_are_encoded_once_whatever_the_number_of_recipients(make_host):
    host = make_host(3)
    host.begin(CONTRAST)
    outbox = host.compose({1: (TURN, (0, 2)), 0: (TURN, (1,))})
    assert [envelope.sender for envelope in outbox.envelopes] == [1, 0]
    assert outbox.recipients == ((0, 2), (1,))
    assert [read_envelope(buffer) for buffer in outbox.handle] == list(outbox.envelopes)
    assert outbox.payload_bytes == tuple(buffer.nbytes for buffer in outbox.handle)
    # Two crops of twelve anchors, 64 float32 each, and a header.
    assert 2 * 12 * 64 * 4 < outbox.payload_bytes[0] < 2 * 12 * 64 * 4 + 1024


def test_silent_agents_leave_an_empty_outbox(make_host):
    host = make_host(2)
    host.begin(Arm(Isolated(), 0.0))
    outbox = host.compose({0: (TURN, (1,))})
    assert (list(outbox.sent()), list(outbox.handle)) == ([], [])


def test_rejection_is_logged_with_agent_and_round(make_host, caplog):
    from agents.hosting.delivery import Delivery

    host = make_host(2)
    host.begin(CONTRAST)
    buffer = np.zeros(40, dtype=np.uint8)
    delivery = Delivery(TURN, frozenset({1}), ((0, 0),))
    assert host.merge([[buffer]], {0: delivery}) == {0: ["malformed"]}
    assert "agent-0, round 1" in caplog.text


def test_messages_are_found_across_outboxes(make_host):
    from agents.hosting.delivery import Delivery

    host = make_host(3)
    host.begin(CONTRAST)
    outboxes = [host.compose({id: (TURN, (0,))}) for id in (2, 1)]
    delivery = Delivery(TURN, frozenset({1, 2}), ((1, 0), (0, 0)))
    assert host.merge([outbox.handle for outbox in outboxes], {0: delivery}) == {0: []}
    assert set(host.agents[0].exchange_state.banks) == {1, 2}


def test_host_keeps_as_much_of_the_messages_as_it_is_told(make_host, make_blueprint):
    class Counted(list):
        def __getitem__(self, index):
            looked_up.append(index)
            return super().__getitem__(index)

    class CountingStore:
        def put(self, packets):
            return Counted(packet.joined() for packet in packets)

        def get(self, handles):
            return handles

    delivery = Delivery(TURN, frozenset({1, 2}), ((0, 0), (0, 1)))
    for kept_bytes, expected in ((2**20, [0, 1]), (0, [0, 1, 0, 1])):
        looked_up: list[int] = []
        host = Host(CountingStore(), kept_bytes)
        host.build(make_blueprint(3))
        host.begin(CONTRAST)
        outbox = host.compose({1: (TURN, (0,)), 2: (TURN, (0,))})
        assert host.merge([outbox.handle], {0: delivery}) == {0: []}
        assert looked_up == expected


def test_evaluation_gives_every_agent_its_metrics(make_host):
    host = make_host(2)
    host.begin(CONTRAST)
    metrics = host.evaluate()
    assert set(metrics) == {0, 1}
    assert metrics[0] == metrics[1]
    assert metrics[0]["norm"] > 0


def test_threads_are_those_of_the_blueprint(make_host):
    before = torch.get_num_threads()
    try:
        make_host(1, threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_device_is_the_one_asked_for_or_the_best_there_is(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert choose_device("auto").type == expected


def test_blueprint_travels_between_processes(make_blueprint, make_host):
    blueprint = make_blueprint(2, evaluate=len)
    copy = pickle.loads(pickle.dumps(blueprint.only({1})))
    assert [member.id for member in copy.members] == [1]
    host = make_host(2)
    host.begin(CONTRAST)
    host.train(1)
    expected = host.agents[1].parameters.clone()
    host.build(copy)
    host.begin(pickle.loads(pickle.dumps(CONTRAST)))
    host.train(1)
    assert torch.equal(host.agents[1].parameters, expected)


@pytest.mark.parametrize("size", [64, 7])
def test_state_loaded_into_another_host_goes_on_as_if_nothing_had_happened(make_host, size):
    training = {"batch_size": size}
    through, first, second = (make_host(2, training=training) for _ in range(3))
    for host in (through, first, second):
        host.begin(CONTRAST)
    for round in (1, 2):
        through.train(round)
    first.train(1)
    for id, agent in second.agents.items():
        agent.state = pickle.loads(pickle.dumps(first.agents[id].state))
    second.train(2)
    for id in (0, 1):
        assert torch.equal(second.agents[id].parameters, through.agents[id].parameters)


@pytest.mark.parametrize(("free", "taken"), [(0.9, 0.5), (0.2, 0.2)])
def test_share_of_a_gpu_is_capped_by_what_is_free(make_host, monkeypatch, free, taken):
    given = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free * 1000), 1000))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", given.append)
    assert make_host(1).share_gpu(0.5) == taken
    assert given == [taken]


class Centre:
    """Fits the map that subtracts the mean of an agent's documents."""

    documents = 6
    text = "sentences"
    measured = ("centered",)

    def __call__(self, rows):
        return {"centered": EmbeddingMap(None, -rows.mean(axis=0))}


def test_untouched_agents_embed_held_out_text_once_and_are_centred_each_on_its_own(
    make_host, monkeypatch
):
    texts = ["wave tide ship", "field wheat", "cloud star moon"]

    def evaluate(encoder, variant=""):
        return {f"{variant}norm": float(np.linalg.norm(encoder.embed(texts)))}, {}

    host = make_host(3, evaluate=evaluate, fit_maps=Centre())
    host.begin(CONTRAST)
    embedded = []
    embed = Agent.embed
    monkeypatch.setattr(Agent, "embed", lambda self, t: embedded.extend(t) or embed(self, t))
    found = host.evaluate()
    assert embedded == texts
    assert len({values["norm"] for values in found.values()}) == 1
    assert len({values["centerednorm"] for values in found.values()}) == 3
    for id, values in found.items():
        moved = host.agents[id].fitted_maps()["centered"](host.agents[id].embed(texts))
        assert values["centerednorm"] == pytest.approx(float(np.linalg.norm(moved)))
