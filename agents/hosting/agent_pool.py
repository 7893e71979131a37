"""Pool of a host's agents, as many of them in memory as a budget allows, and the rest on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest

from agents.hosting.pytree import tree_bytes
from agents.hosting.spill_file import Slot, SpillFile
from agents.models.cpu.malloc import return_freed_memory
from agents.training.agent import Agent
from agents.training.blueprint import Arm, Blueprint
from agents.training.shared_model import SharedModel

_KEPT_BYTES = 256 * 2**20
"""Bytes of states that are moved to disk before their memory is returned to the operating system."""


class AgentPool(Mapping[int, Agent]):
    """The agents of a host by id; accessing one loads it into memory, and may move others to disk.

    There are three kinds of agents: unchanged agents, which share the initial weights; agents in memory; and
    agents on disk. When the states in memory exceed the budget, the least recently used are moved to disk,
    and written only if they have changed. The agent accessed last stays, so at most one agent more than the
    budget is in memory, or one stack of agents. Results do not depend on the budget.

    An agent may be used until the next one is accessed, and the agents of a stack until the next stack is.

    Args:
        blueprint: the host's blueprint; its `state_bytes` is the budget.
        residents: shared model of each group.
        arm: the run's arm.
    """

    def __init__(
        self, blueprint: Blueprint, residents: Mapping[int, SharedModel], arm: Arm
    ) -> None:
        self._agents = {m.id: Agent(m, residents[m.group], arm) for m in blueprint.members}
        self._budget = blueprint.state_bytes
        self._folder = blueprint.spill_folder
        self._untouched = set(self._agents)
        # Bytes of each state in memory, the least recently used first.
        self._loaded: dict[int, int] = {}
        # States on disk, including unchanged states that are in memory too.
        self._slots: dict[int, Slot] = {}
        # Agents whose states may have grown since they were measured.
        self._changing: Sequence[int] = ()
        # Agents that stay in memory while others are loaded.
        self._held: frozenset[int] = frozenset()
        self._file: SpillFile | None = None
        self._bytes = 0
        self._freed = 0  # bytes moved to disk since memory was last returned

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the states in memory, without the shared initial weights."""
        self._measure_changing()
        return self._bytes

    @property
    def spilled_bytes(self) -> int:
        """Bytes of the states on disk."""
        return self._file.held_bytes if self._file else 0

    def __getitem__(self, id: int) -> Agent:
        """Return an agent, in memory, to be changed."""
        agent = self._load(id, begun=True)
        self._changing = (id,)
        slot = self._slots.pop(id, None)
        if slot is not None and self._file is not None:
            self._file.free(slot)
        return agent

    def begun(self, id: int) -> Agent:
        """Return an agent, in memory and with its own state, to be read only."""
        return self._load(id, begun=True)

    def unchanged(self, id: int) -> Agent:
        """Return an agent, in memory, to be read only."""
        return self._load(id, begun=False)

    def counters(self, id: int) -> Agent:
        """Return an agent, in memory or not; only the counters of its state are valid."""
        return self._agents[id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)

    def order(self, ids: Collection[int] | None = None) -> list[int]:
        """Return ids, by default all, with those in memory first, which reads least from disk."""
        return sorted(self if ids is None else ids, key=lambda id: id not in self._loaded)

    def each(
        self, order: Sequence[int], access: Callable[[int], Agent] | None = None
    ) -> Iterator[tuple[int, Agent]]:
        """Access agents in order, by default to change them; the next one is read ahead from disk."""
        access = access or self.__getitem__
        for id, following in zip_longest(order, order[1:]):
            if following is not None:
                self._prefetch(following)
            yield id, access(id)

    def each_together(
        self, stacks: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Sequence[int], list[Agent]]]:
        """Access agents to change them, the agents of a stack all in memory, even beyond the budget."""
        following = dict(pairwise(id for ids in stacks for id in ids))
        for ids in stacks:
            agents = []
            self._held = frozenset(ids)
            for id in ids:
                if id in following:
                    self._prefetch(following[id])
                agents.append(self[id])
            self._held, self._changing = frozenset(), ids
            yield ids, agents

    def resident_of_untouched(self, id: int) -> SharedModel | None:
        """Return the shared model whose initial weights an agent has; None if it has its own weights."""
        shares = id in self._untouched and not self._agents[id].draws_own_weights
        return self._agents[id].resident if shares else None

    def close(self) -> None:
        """Delete the file on disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _prefetch(self, id: int) -> None:
        if self._file is not None and id in self._slots and id not in self._loaded:
            self._file.prefetch(self._slots[id])

    def _load(self, id: int, begun: bool) -> Agent:
        agent = self._agents[id]
        self._measure_changing()
        size = self._loaded.pop(id, None)
        if size is None:
            if id in self._untouched:
                if not begun and not agent.draws_own_weights:
                    return agent
                self._untouched.discard(id)
                agent.begin()
            elif self._file is not None:
                tree = self._file.read(self._slots[id])
                agent.state = agent.state.with_tensors(tree, agent.state_types)
            size = _bytes_of(agent)
            self._bytes += size
        self._loaded[id] = size  # behind all others: the most recently used
        while self._bytes > self._budget:
            unused = next((each for each in self._loaded if each not in {id} | self._held), None)
            if unused is None:
                break
            self._spill(unused)
        return agent

    def _measure_changing(self) -> None:
        """Measure the agents accessed last to be changed: a state grows when it first trains."""
        changing, self._changing = self._changing, ()
        for id in changing:
            if id in self._loaded:
                size = _bytes_of(self._agents[id])
                self._bytes += size - self._loaded[id]
                self._loaded[id] = size

    def _spill(self, id: int) -> None:
        agent = self._agents[id]
        self._file = self._file or SpillFile(self._folder)
        if id not in self._slots:
            self._slots[id] = self._file.write(agent.state.tensors())
        size = self._loaded.pop(id)
        self._bytes -= size
        agent.state = agent.state.without_tensors()
        self._freed += size
        if self._freed > _KEPT_BYTES:
            # Smaller allocations fill the holes that states leave in the heap, so the next states would need
            # new memory: in the end the process would hold the budget twice.
            return_freed_memory()
            self._freed = 0


def _bytes_of(agent: Agent) -> int:
    return tree_bytes(agent.state.tensors())
