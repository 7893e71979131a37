"""An attacker receives what the exchange sends, and nothing where messages show nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from agentos import RunConfig
from agentos.audit.bias.bias_by_arm import untrained
from agentos.audit.privacy.received import received_from
from agentos.events import Listener
from agentos.simulation.bare_blueprint import bare_blueprint
from agentos.simulation.preparation import prepare_corpus

ANCHORS, WIDTH = 32, 64
CLASSES = {"classes": 4}
PRIVATE = {"shares_private_embeddings": True}
SHOWN = {
    "anchor_contrast": ({}, (ANCHORS, WIDTH), None),
    "anchor_similarity": ({}, (ANCHORS, ANCHORS), None),
    "ranked_neighbours": ({"length": 4}, (ANCHORS, ANCHORS), None),
    "pseudo_labels": (CLASSES, (ANCHORS, 4), None),
    "fedmd": (CLASSES, (ANCHORS, 4), None),
    "prototypes": ({"centroids": 4, "sample": 16}, None, (4, WIDTH)),
    "dcco": ({}, None, (2, WIDTH)),
    "cross_negatives": (PRIVATE, None, (24, WIDTH)),
}
NOTHING = {"isolated": "ring", "fedavg": "ring", "secure_pseudo_labels": "master_slave"}


@pytest.fixture(scope="module")
def society(small_values, cache):
    """A small run that trains no agent, its text, and its encoders."""
    run = RunConfig.model_validate(small_values)
    corpus = prepare_corpus(run, Listener(), cache)
    encoders = untrained(bare_blueprint(run, corpus))
    return small_values, corpus, dict.fromkeys(range(4), encoders[0])


def received(society, kind, settings=None, topology="ring"):
    values, corpus, encoders = society
    exchange = {"kind": kind, **(settings or {})}
    run = RunConfig.model_validate({**values, "exchange": exchange, "topology": topology})
    return received_from(bare_blueprint(run, corpus), run.exchange, encoders)


@pytest.mark.parametrize("kind", SHOWN)
def test_messages_of_every_kind_of_payload_are_read(society, kind):
    settings, anchors, points = SHOWN[kind]
    found = received(society, kind, settings)
    assert sorted(found) == [0, 1, 2, 3]
    for each in found.values():
        assert (each.anchors is None) == (anchors is None)
        assert (each.points is None) == (points is None)
        rows, shape = (each.points, points) if anchors is None else (each.anchors, anchors)
        assert np.isfinite(rows).all()
        assert rows.shape[1] == shape[1]
        assert 0 < len(rows) <= shape[0]


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_is_read_where_parameters_or_masks_are_sent(society, kind):
    settings = CLASSES if kind.startswith("secure") else {}
    assert received(society, kind, settings, NOTHING[kind]) == {}


def test_messages_are_those_of_the_saved_parameters(society):
    values, corpus, encoders = society
    changed = copy.deepcopy(encoders[1])
    with torch.no_grad():
        for parameter in changed.encoder.parameters():
            parameter.mul_(torch.linspace(0.5, 1.5, parameter.numel()).view(parameter.shape))
    before = received(society, "anchor_contrast")
    after = received((values, corpus, {**encoders, 1: changed}), "anchor_contrast")
    assert not np.allclose(after[1].anchors, before[1].anchors, atol=1e-2)
    assert all(np.array_equal(after[id].anchors, before[id].anchors) for id in (0, 2, 3))
