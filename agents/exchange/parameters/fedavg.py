"""Averaging of parameters: FedAvg and gossip."""

from __future__ import annotations

from typing import Literal

from agents.exchange.parameters.averaging import ParameterExchange


class FedAvg(ParameterExchange):
    """FedAvg (McMahan et al. 2017) in trees, gossip (D-PSGD, Lian et al. 2017) among peers.

    Peers replace their parameters by ``sum_j W[i, j] theta_j`` over themselves and the neighbours that they
    received from; the share of a missing neighbour falls to the agent itself. With one local step of SGD a
    round that is D-PSGD, which steps first and mixes then; with more it is local SGD with gossip. The
    topology brings the mixing matrix W: Metropolis-Hastings weights on a fixed graph, halves on
    ``one_peer_exponential`` and ``random_matching``.

    In a tree, every parent averages its subtree by numbers of documents, and the root's average replaces all
    agents' parameters: FedAvg with all agents in every round, the master one of them. With one local step of
    SGD that is a step on all agents' batches together.

    A robust `fusion` replaces the average. Peers then apply it over their neighbourhood, themselves
    included, and ignore W. In a tree, each parent applies it over its children and itself: it tolerates
    poisoned children as the rule guarantees, a poisoned parent only where its own parent does, and a
    poisoned root not at all.

    Sources: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
    2017; Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, 2017; Ying et al.,
    Exponential Graph is Provably Efficient for Decentralized Deep Training, 2021.
    """

    kind: Literal["fedavg"] = "fedavg"
