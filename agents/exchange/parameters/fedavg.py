"""Averaging of parameters."""

from __future__ import annotations

from typing import Literal

from agents.exchange.parameters.averaging import ParameterExchange


class FedAvg(ParameterExchange):
    """Parameters: FedAvg under a master, gossip (D-PSGD) among peers, level by level in layers.

    Peers replace their parameters by ``sum_j W[i, j] theta_j`` over themselves and those they heard from;
    the share of a neighbour that was not heard falls to the agent itself. With one local step of SGD a
    round that is D-PSGD, which steps first and mixes then; with more it is local SGD with gossip. The
    topology brings the mixing matrix W: Metropolis-Hastings weights on a fixed graph, halves on
    ``one_peer_exponential`` and ``random_matching``.

    In a tree, every parent averages its subtree by numbers of documents, and the root's average replaces
    everybody's: FedAvg with all agents in every round, the master one of them. With one local step of SGD
    that is a step on everybody's batches together.

    A robust `fusion` stands in for the average. Peers then apply it over their neighbourhood, themselves
    included, and disregard W. In a tree, each parent applies it over its children and itself: it withstands
    poisoned children as it promises, a poisoned parent only where that one's own parent does, and a
    poisoned root not at all.

    Sources: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
    2017; Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, 2017; Ying et al.,
    Exponential Graph is Provably Efficient for Decentralized Deep Training, 2021.
    """

    kind: Literal["fedavg"] = "fedavg"
