"""Agents of a run on a host in this process, as they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentos.runtime.local import LocalStore
from agents.exchange import Exchange
from agents.hosting import Host
from agents.lazy_torch import torch
from agents.training.blueprint import Arm, Blueprint


@contextmanager
def agents_of(blueprint: Blueprint, exchange: Exchange) -> Iterator[Host]:
    """Provide a host of the agents of a blueprint, untrained, under an exchange."""
    host, threads = Host(LocalStore()), torch.get_num_threads()
    try:
        host.build(blueprint)
        host.begin(Arm(exchange, exchange.anchor_fraction))
        yield host
    finally:
        host.close()
        torch.set_num_threads(threads)
