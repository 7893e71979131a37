"""Blueprints: the maps of embeddings, and whitenings that no agent could fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentos import RunConfig
from agentos.events import Listener
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.training.blueprint import Blueprint
from protocols.errors import ConfigurationError

Draw = Callable[..., Blueprint]


@pytest.fixture
def blueprint(small: Callable[..., RunConfig], cache: Path) -> Draw:
    def make(**evaluation: object) -> Blueprint:
        config = small(evaluation={"tasks": ["retrieval"], "documents": 40, **evaluation})
        corpus = prepare_corpus(config, Listener(), cache)
        return blueprint_of(config, corpus, Listener(), cache)

    return make


def test_no_agent_fits_maps_on_held_out_text(
    small: Callable[..., RunConfig], cache: Path, blueprint: Draw
) -> None:
    corpus = prepare_corpus(small(), Listener(), cache)
    fitted_on = np.concatenate([member.rows for member in blueprint().members])
    assert np.intersect1d(fitted_on, corpus.heldout).size == 0
    assert np.intersect1d(fitted_on, corpus.anchors).size == 0


def test_agents_fit_maps_only_where_some_are_asked_for(blueprint: Draw) -> None:
    fit = blueprint().fit_maps
    assert fit is not None
    assert fit.measured == ("centered",)
    assert blueprint(center=False).fit_maps is None


@pytest.mark.parametrize(
    ("whitening", "documents", "named"),
    [
        ({"width": 65}, 512, "at most 64"),
        ({}, 127, "128 or more"),
    ],
)
def test_whitening_beyond_the_encoder_or_on_too_little_text_is_refused(
    blueprint: Draw, whitening: dict[str, int], documents: int, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        blueprint(whitening=whitening, center_documents=documents)
    assert caught.value.hint


def test_whitening_on_two_documents_for_each_direction_is_accepted(blueprint: Draw) -> None:
    assert blueprint(whitening={}, center_documents=128).fit_maps is not None
