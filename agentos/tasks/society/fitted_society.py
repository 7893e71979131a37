"""A society that works: agents with heads, and the ways in which they were found to answer best.

Legend: Q queries, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentos.rounds.clock.timing import timing_of
from agentos.tasks.config import Auto, Task
from agentos.tasks.cooperation import (
    Architecture,
    Cascade,
    Embedded,
    Evidence,
    MasterSlave,
    Member,
    Outcome,
    Panel,
    Peers,
    Queries,
    Setting,
    Single,
)
from agentos.tasks.cooperation.cascade import by_cost, levels_of
from agentos.tasks.cooperation.panel import Count, Embed
from agents.answering.answers import Labels
from protocols.topologies import Network, Topology
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave as Star
from protocols.topologies.peer import Complete

SINGLE = "single"
"""Name of the best agent alone, in the place of a family of topologies."""
DIVIDED = "divided"
"""Name of a master that divides the task."""
DISTILLED = "distilled"
"""Name of one agent that has learnt from the society."""
_DEFAULTS: Mapping[str, Topology] = {
    SINGLE: Complete(),
    "master_slave": Star(),
    "peer": Complete(),
    "layered": Layered(branching=1),
    DIVIDED: Star(),
    DISTILLED: Complete(),
}
"""The topology that stands for its family where the configuration names another one."""


@dataclass(frozen=True)
class FittedSociety:
    """Fitted agents and architectures.

    Attributes:
        config: the configuration that they were fitted under.
        members: the agents, the most accurate on ``fit`` first.
        classes: names of the K classes.
        architectures: fitted architectures by name: the families of topologies, `SINGLE`, `DIVIDED`
            and `DISTILLED`.
        chosen: name of the one that answers.
    """

    config: Task
    members: tuple[Member, ...]
    classes: tuple[str, ...]
    architectures: Mapping[str, Architecture]
    chosen: str

    @classmethod
    def fitted(
        cls,
        config: Task,
        members: Sequence[Member],
        classes: Sequence[str],
        evidence: Evidence,
    ) -> FittedSociety:
        """Fit every architecture; nothing is chosen yet but the single agent."""
        found: dict[str, Architecture] = {SINGLE: Single()}
        society = cls(config, tuple(members), tuple(classes), found, SINGLE)
        if len(members) > 1:
            levels = levels_of(society.network("layered"))
            found["master_slave"] = MasterSlave.fitted(evidence, config.floor)
            found["peer"] = Peers.fitted(evidence)
            found["layered"] = Cascade.fitted(evidence, levels, config.defer)
        return society

    def choosing(self, name: str) -> FittedSociety:
        """Return the society in which another architecture answers."""
        return replace(self, chosen=name)

    def having(self, name: str, architecture: Architecture) -> FittedSociety:
        """Return the society with a further way to answer."""
        return replace(self, architectures={**self.architectures, name: architecture})

    def panel(self, embed: Embed, count: Count | None = None) -> Panel:
        """Return the panel, with encoders; see `Panel.count`."""
        length = self.config.task.max_length
        return Panel(self.members, len(self.classes), length, embed, count)

    @property
    def asked_first(self) -> tuple[int, ...]:
        """Agents that the chosen architecture asks about every query."""
        return self.architectures[self.chosen].asked_first(self.panel(_unread))

    def network(self, family: str) -> Network:
        """Return the network of an architecture: the configured one where it is of this family."""
        agents, seed = len(self.members), self.config.seed
        wanted = self.config.topology
        if not isinstance(wanted, Auto):
            network = wanted.build(agents, seed)
            if network.family == ("master_slave" if family == DIVIDED else family):
                return self._placed(network)
        return self._placed(_DEFAULTS[family].build(agents, seed))

    def _placed(self, network: Network) -> Network:
        if network.family != "layered":
            return network
        return by_cost(network, self.panel(_unread))

    def setting(self, family: str, faulty: bool) -> Setting:
        """Return where an architecture works.

        Args:
            family: its name.
            faulty: whether the fault script strikes.
        """
        config, network = self.config, self.network(family)
        timing = timing_of(config.clock, network, config.seed, {}, config.task.max_length)
        faults = config.faults if faulty else ()
        return Setting(network, timing, config.name, config.seed, faults, config.deadline_s)

    def answer(
        self,
        queries: Queries,
        embed: Embed,
        name: str | None = None,
        faulty: bool = False,
        count: Count | None = None,
    ) -> Outcome:
        """Answer queries by one of the architectures.

        Args:
            queries: what is asked.
            embed: the encoders.
            name: the architecture; the chosen one if None.
            faulty: whether the fault script strikes.
            count: counts tokens before anything is embedded; None where embeddings are there already.

        Raises:
            HostLost: no agent is left to answer.
        """
        name = name or self.chosen
        return self.architectures[name].answer(
            self.panel(embed, count), queries, self.setting(name, faulty)
        )

    def decided(self, outcome: Outcome) -> list[str]:
        """Return the name of the decided class of each query."""
        return [self.classes[k] for k in outcome.answers.probabilities.argmax(axis=1)]


def _unread(agent: int, ids: Labels) -> Embedded:
    raise AssertionError("nothing is embedded to place agents in a network")


def better(right: Mapping[str, np.ndarray], flops: Mapping[str, float], one_is_enough: bool) -> str:
    """Return the architecture to work with, from how each did on ``calibrate``.

    The cheapest of those that are not worse than the most accurate by more than a standard error of the
    paired difference; the single agent where the analysis found no headroom.

    Args:
        right: `[Q]` for each architecture, whether it was right.
        flops: FLOPs of each for a query.
        one_is_enough: the analysis' verdict.

    Example:
        >>> right = {"single": np.array([1, 1, 0, 0] * 50), "peer": np.array([1, 1, 1, 0] * 50)}
        >>> better(right, {"single": 1.0, "peer": 4.0}, one_is_enough=False)
        'peer'
    """
    if one_is_enough:
        return SINGLE
    best = max(right, key=lambda name: (float(np.mean(right[name])), -flops[name]))
    level = []
    for name, mine in right.items():
        difference = right[best].astype(float) - mine.astype(float)
        error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
        if difference.mean() <= error:
            level.append(name)
    return min(level, key=lambda name: (flops[name], name))
