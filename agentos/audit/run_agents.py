"""Agents of a run on a host in this process, as they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.evaluation.geometry import Geometry
from agentos.events import Listener
from agentos.runtime.local import LocalStore
from agentos.simulation.preparation import blueprint_of
from agents.exchange import Exchange
from agents.hosting import Host
from agents.lazy_torch import torch
from agents.training.blueprint import Arm


@contextmanager
def agents_of(run: RunConfig, corpus: Corpus, exchange: Exchange) -> Iterator[Host]:
    """Provide a host of the agents of a run, untrained, under an exchange."""
    # Files of the run's own evaluations are not needed here, and may be gone.
    evaluation = run.evaluation.model_copy(update={"tasks": (Geometry(),), "joint": None})
    blueprint = blueprint_of(run.model_copy(update={"evaluation": evaluation}), corpus, Listener())
    host, threads = Host(LocalStore()), torch.get_num_threads()
    try:
        host.build(blueprint)
        host.begin(Arm(exchange, exchange.anchor_fraction))
        yield host
    finally:
        host.close()
        torch.set_num_threads(threads)
