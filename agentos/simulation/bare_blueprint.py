"""Agents of a run without its evaluations, for those who look at agents and train none."""

from __future__ import annotations

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.evaluation.geometry import Geometry
from agentos.events import Listener
from agentos.simulation.preparation import blueprint_of
from agents.training.blueprint import Blueprint


def bare_blueprint(config: RunConfig, corpus: Corpus) -> Blueprint:
    """Draw up a run's agents; files of its own evaluations are not read, and may be gone."""
    evaluation = config.evaluation.model_copy(update={"tasks": (Geometry(),), "joint": None})
    return blueprint_of(config.model_copy(update={"evaluation": evaluation}), corpus, Listener())
