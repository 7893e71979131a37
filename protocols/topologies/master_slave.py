"""Master and slaves: all agents send to one, which merges and sends back to all."""

from __future__ import annotations

from typing import Literal, final

from pydantic import Field

from protocols.errors import TopologyError
from protocols.topologies.base import Topology
from protocols.topologies.layered import TreeNetwork


@final
class MasterSlave(Topology):
    """One master gathers from all slaves, then broadcasts to them."""

    kind: Literal["master_slave"] = "master_slave"
    master: int = Field(default=0, ge=0, description="number of the agent that is the master")

    def _network(self, agents: int, seed: int) -> TreeNetwork:
        if self.master >= agents:
            raise TopologyError(
                "the master is not one of the agents",
                expected=f"a number from 0 to {agents - 1}",
                actual=self.master,
                hint="lower topology.master",
            )
        roles = ["master" if agent == self.master else "slave" for agent in range(agents)]
        parents = [None if agent == self.master else self.master for agent in range(agents)]
        return TreeNetwork.of(parents, family="master_slave", roles=roles)
