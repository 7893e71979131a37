r"""Durations of training and of messages, in simulated seconds.

Local steps of agent \(i\) take \(W_i / v_i\): its work over its speed. Work is counted, not measured: tokens
that went through the encoder (with and without a gradient, including those that it embedded for others since
its last round), operations estimated from them (see `agentos.preflight.flops`; texts are taken at their
longest), or steps. A message of \(b\) serialised bytes takes \(\lambda_{ij} + b / \beta_{ij}\) over the edge
from i to j: its latency and its bandwidth.

Every direction of every edge is a link of its own. Nothing is shared: several messages of one sender leave at
once, and several to one receiver do not slow each other. Sending, merging, evaluation and health checks take
no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agentos.rounds.clock.config import ClockConfig
from agentos.rounds.clock.distributions import Quantity
from protocols.topologies import Network

Edge = tuple[int, int]
Work = Literal["flops", "tokens", "steps"]


class Cost(Protocol):
    """The cost of an encoder; see `agentos.preflight.flops`."""

    def flops(self, length: int, trained: int, embedded: int = 0) -> int:
        """Return the operations for so many tokens of texts of a length."""


@dataclass(frozen=True)
class Timing:
    """Speeds, latencies and bandwidths of a run.

    Attributes:
        speeds: of each agent, in work per second.
        latency_s, bytes_per_s: of each direction of every edge; bytes take no time where it has no bandwidth.
        work: the unit that speeds count.
        costs: of each agent's encoder; only where operations are counted.
        length: tokens of the longest text.
    """

    speeds: Mapping[int, float]
    latency_s: Mapping[Edge, float] = field(default_factory=dict)
    bytes_per_s: Mapping[Edge, float] = field(default_factory=dict)
    work: Work = "steps"
    costs: Mapping[int, Cost] = field(default_factory=dict)
    length: int = 0

    def training_s(self, agent: int, metrics: Mapping[str, float]) -> float:
        """Return the seconds of an agent's local steps, from what its training reported.

        Example:
            >>> Timing(speeds={0: 4.0}).training_s(0, {"steps": 10})
            2.5
        """
        trained = metrics.get("tokens", 0) + metrics.get("decoder_tokens", 0)
        embedded = metrics.get("embedded_tokens", 0)
        if self.work == "steps":
            done = metrics["steps"]
        elif self.work == "tokens":
            done = trained + embedded
        else:
            done = self.costs[agent].flops(self.length, int(trained), int(embedded))
        return done / self.speeds[agent]

    def transit_s(self, sender: int, receiver: int, payload_bytes: int) -> float:
        """Return the seconds of a message over an edge.

        Example:
            >>> Timing({}, {(0, 1): 0.5}, {(0, 1): 1000.0}).transit_s(0, 1, payload_bytes=250)
            0.75
        """
        edge = sender, receiver
        bandwidth = self.bytes_per_s.get(edge)
        return self.latency_s[edge] + (payload_bytes / bandwidth if bandwidth else 0.0)


def timing_of(
    clock: ClockConfig, network: Network, seed: int, costs: Mapping[int, Cost], max_length: int
) -> Timing:
    """Draw or read how long training and messages take in a run.

    Args:
        clock: of the run.
        network: of the run.
        seed: of the run.
        costs: of each agent's encoder; needed only where speeds count operations.
        max_length: tokens of the longest text that agents train on.

    Raises:
        DataError: a trace cannot be used.
    """
    agents = [(agent,) for agent in range(network.agents)]
    edges = sorted({*network.edges, *((b, a) for a, b in network.edges)})

    def of_edges(quantity: Quantity | None, name: str) -> dict[Edge, float]:
        found = {} if quantity is None else quantity.values(edges, seed, name)
        return {edge: found[edge] for edge in edges if edge in found}

    speeds = clock.speed.values(agents, seed, "speed")
    return Timing(
        speeds={agent: speeds[agent,] for agent in range(network.agents)},
        latency_s=of_edges(clock.latency_s, "latency_s"),
        bytes_per_s=of_edges(clock.bytes_per_s, "bytes_per_s"),
        work=clock.work,
        costs=costs,
        length=max_length,
    )
