"""Views that a training step passes to the exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from agents.exchange.anchors.anchor_similarity import AnchorSimilarity, SimilarityState
from agents.exchange.base import ExchangeState
from agents.exchange.isolated import Isolated
from agents.objectives import Denoising, InfoNCE, MaskedLM
from agents.training.blueprint import Arm


@dataclass
class PrivateViews(ExchangeState):
    private: Any = None


@dataclass
class AllViews(SimilarityState):
    private: Any = None
    anchors: Any = None


class PrivateProbe(Isolated):
    """Keeps its views of private texts."""

    state_type: ClassVar[type[ExchangeState]] = PrivateViews
    learns_from_private: ClassVar[bool] = True

    def private_loss(self, learner, private, rng):
        learner.exchange_state.private = private


class Probe(AnchorSimilarity):
    """Keeps its views of private texts and of anchors."""

    state_type: ClassVar[type[ExchangeState]] = AllViews
    learns_from_private: ClassVar[bool] = True

    def private_loss(self, learner, private, rng):
        learner.exchange_state.private = private

    def loss(self, learner, anchors, rng):
        learner.exchange_state.anchors = anchors


@pytest.mark.parametrize("objective", [InfoNCE(), Denoising(), MaskedLM()], ids=lambda o: o.kind)
@pytest.mark.parametrize("exchange", [PrivateProbe(), Probe()], ids=lambda e: e.kind)
def test_private_texts_are_seen_in_two_views_whatever_the_objective_offers(
    make_host, objective, exchange
):
    tokens = []
    for shown in (exchange, Isolated()):
        host = make_host(1, objectives=(objective,), training={"local_steps": 1})
        host.begin(Arm(shown, 0.25))
        tokens.append(host.train(1)[0]["tokens"])
        if shown is exchange:
            state = host.agents[0].exchange_state
    first, second = state.private.pooled
    assert first.shape == second.shape == (8, 64)
    assert not torch.equal(first, second)
    if exchange.anchor_fraction:
        assert [view.shape for view in state.anchors.pooled] == [(3, 64)] * 2
    # Views that the objective offers cost nothing more.
    assert (tokens[0] == tokens[1]) == (objective.kind == "info_nce")
