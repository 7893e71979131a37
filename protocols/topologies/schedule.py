"""Time-varying peers: the live edges change from round to round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, final

from pydantic import Field

from protocols.seeding import generator
from protocols.spec import Kinds
from protocols.topologies.base import Topology
from protocols.topologies.from_file import FromFile
from protocols.topologies.hops import Hop
from protocols.topologies.network import Network
from protocols.topologies.peer import (
    Complete,
    ErdosRenyi,
    Exponential,
    Grid,
    RandomRegular,
    Ring,
    SmallWorld,
    peer_hop,
)

FIXED_PEERS: dict[str, type[Topology]] = {
    "ring": Ring,
    "complete": Complete,
    "random_regular": RandomRegular,
    "small_world": SmallWorld,
    "erdos_renyi": ErdosRenyi,
    "exponential": Exponential,
    "grid": Grid,
    "from_file": FromFile,
}
"""The topologies of peers that do not vary: a matching may be drawn over each."""


@final
@dataclass(frozen=True, kw_only=True)
class OnePeerExponentialNetwork(Network):
    """In round t agent i sends to agent i + 2^(t mod T), modulo N, where T is the period."""

    @property
    def period(self) -> int:
        """The smallest T with 2^T >= N, and at least 1: each power of two below N has its round."""
        return max(1, (self.agents - 1).bit_length())

    def _hops(self, round: int) -> tuple[Hop, ...]:
        offset = 2**round
        edges = ((i, (i + offset) % self.agents) for i in range(self.agents))
        return peer_hop(tuple(edges) if self.agents > 1 else ())


@final
class OnePeerExponential(Topology):
    """Each round, every peer sends to the one 1, 2, 4, 8, ... places ahead, cyclically.

    The exchange is directed: in round t agent i sends to i + 2^(t mod T) and receives from i - 2^(t
    mod T), modulo N, T = ceil(log2 N). Each agent weighs itself and its sender by 1/2, so that the
    mixing matrix is doubly stochastic but not symmetric. If N is a power of two, T rounds
    reach the exact mean. The network's edges are those of `exponential`.

    Source: Ying et al., Exponential graph is provably efficient for decentralized deep training, 2021.
    """

    kind: Literal["one_peer_exponential"] = "one_peer_exponential"

    def _network(self, agents: int, seed: int) -> OnePeerExponentialNetwork:
        union = Exponential()._network(agents, seed)
        return OnePeerExponentialNetwork(
            agents=agents,
            family="peer",
            edges=union.edges,
            roles=union.roles,
            levels=union.levels,
            arrangement="circle",
        )


@final
@dataclass(frozen=True, kw_only=True)
class MatchingNetwork(Network):
    """Pairs of neighbours, drawn anew each round.

    Args:
        seed: the run's seed; a round's pairs depend only on it and on the round.
    """

    seed: int

    @property
    def period(self) -> None:
        """None: the pairs do not repeat after any fixed number of rounds."""
        return

    def _hops(self, round: int) -> tuple[Hop, ...]:
        random = generator(self.seed, "topology", "random_matching", round)
        free = set(range(self.agents))
        edges: list[tuple[int, int]] = []
        for agent in (round % self.agents, *random.permutation(self.agents).tolist()):
            partners = sorted(self.neighbours(agent) & free) if agent in free else []
            if partners:
                partner = partners[int(random.integers(len(partners)))]
                free -= {agent, partner}
                edges += [(agent, partner), (partner, agent)]
        return peer_hop(tuple(edges))


@final
class RandomMatching(Topology):
    """Each round pairs as many peers as possible at random; each pair exchanges messages.

    Agents choose in random order among their neighbours that are still free, so that the matching
    is maximal: no two neighbours are both left over. Agent (round mod N) chooses first, so that in
    N rounds each agent is sure to be paired. Both of a pair weigh themselves and the other by 1/2.

    Source: Boyd et al., Randomized gossip algorithms, 2006.
    """

    kind: Literal["random_matching"] = "random_matching"
    over: Annotated[Topology, Kinds(FIXED_PEERS)] = Field(
        default=Complete(), description="the topology whose edges may be drawn"
    )

    def _network(self, agents: int, seed: int) -> MatchingNetwork:
        base = self.over.build(agents, seed)
        return MatchingNetwork(
            agents=agents,
            family="peer",
            edges=base.edges,
            roles=("peer",) * agents,
            levels=(0,) * agents,
            arrangement=base.arrangement,
            seed=seed,
        )
