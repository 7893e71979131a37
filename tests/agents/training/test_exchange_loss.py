"""What a training step shows to the exchange."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.isolated import Isolated
from agents.objectives import Denoising, InfoNCE, MaskedLM
from agents.training.blueprint import Arm


class Watching(Isolated):
    """Keeps what it is shown of private texts."""

    learns_from_private: ClassVar[bool] = True

    def private_loss(self, learner, private, rng):
        learner.memory["seen"] = private


class WatchingBoth(AnchorSimilarity):
    """Keeps what it is shown of private texts and of anchors."""

    learns_from_private: ClassVar[bool] = True

    def private_loss(self, learner, private, rng):
        learner.memory["seen"] = private

    def loss(self, learner, anchors, rng):
        learner.memory["anchors"] = anchors


@pytest.mark.parametrize("objective", [InfoNCE(), Denoising(), MaskedLM()], ids=lambda o: o.kind)
@pytest.mark.parametrize("exchange", [Watching(), WatchingBoth()], ids=lambda e: e.kind)
def test_private_texts_are_seen_in_two_views_whatever_the_objective_offers(
    make_host, objective, exchange
):
    tokens = []
    for shown in (exchange, Isolated()):
        host = make_host(1, objectives=(objective,), training={"local_steps": 1})
        host.begin(Arm(shown, 0.25))
        tokens.append(host.train(1)[0]["tokens"])
        if shown is exchange:
            memory = host.agents[0].memory
    first, second = memory["seen"].pooled
    assert first.shape == second.shape == (8, 64)
    assert not torch.equal(first, second)
    if exchange.anchor_fraction:
        assert [view.shape for view in memory["anchors"].pooled] == [(3, 64)] * 2
    # Views that the objective offers cost nothing more.
    assert (tokens[0] == tokens[1]) == (objective.kind == "info_nce")
