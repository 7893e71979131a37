"""Topologies: which agents exchange messages, in which order, and with which mixing weights."""

from __future__ import annotations

from protocols.topologies.base import Topology
from protocols.topologies.hops import Direction, Hop
from protocols.topologies.layered import Layered, TreeNetwork
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.network import Network
from protocols.topologies.peer import PeerNetwork
from protocols.topologies.schedule import FIXED_PEERS, OnePeerExponential, RandomMatching

TOPOLOGIES: dict[str, type[Topology]] = {
    "master_slave": MasterSlave,
    **FIXED_PEERS,
    "layered": Layered,
    "one_peer_exponential": OnePeerExponential,
    "random_matching": RandomMatching,
}
"""Every topology that a configuration can name; a new one is added here (see `Topology`)."""

__all__ = ["TOPOLOGIES", "Direction", "Hop", "Network", "PeerNetwork", "Topology", "TreeNetwork"]
