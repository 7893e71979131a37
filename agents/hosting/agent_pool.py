"""The agents of a host, of which only so many are in memory as fit in a budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import torch

from agents.hosting.spill_file import Slot, SpillFile
from agents.hosting.tree import tree_bytes
from agents.models.cpu.malloc import return_freed_memory
from agents.training.agent import Agent
from agents.training.blueprint import Arm, Blueprint
from agents.training.shared_model import AgentState, SharedModel

_SPILLED = ("parameters", "optimizer", "memory", "objectives")
"""The parts of a state that take room; the counters beside them stay in memory."""
_KEPT_BYTES = 256 * 2**20
"""Of states that went to disk, before their memory is given back."""


class AgentPool(Mapping[int, Agent]):
    """The agents of a host by id; looking one up brings it into memory, and may send others to disk.

    Three kinds of agents: those that nothing has changed yet, which share the initial weights; those in
    memory; and those on disk. When the states in memory exceed the budget, the least recently used go to
    disk, without being written again where nothing has changed them since. The agent that was looked up last
    stays, so at most one agent more than the budget is in memory. Results do not depend on the budget.

    An agent that was looked up may be used until the next one is.

    Args:
        blueprint: of the host; its `state_bytes` is the budget.
        residents: module of each group.
        arm: of the run.
    """

    def __init__(
        self, blueprint: Blueprint, residents: Mapping[int, SharedModel], arm: Arm
    ) -> None:
        self._agents = {m.id: Agent(m, residents[m.group], arm) for m in blueprint.members}
        self._budget = blueprint.state_bytes
        self._folder = blueprint.spill_folder
        self._untouched = set(self._agents)
        self._awake: dict[int, int] = {}  # bytes of each, the least recently used first
        self._slots: dict[int, Slot] = {}  # those on disk, of agents awake too if nothing changed
        self._changing: int | None = None  # may have grown since it was measured
        self._file: SpillFile | None = None
        self._bytes = 0
        self._freed = 0  # by states that went to disk, since memory was last given back

    @property
    def awake_bytes(self) -> int:
        """Bytes of the states in memory; shared initial weights aside."""
        self._measure_changing()
        return self._bytes

    @property
    def spilled_bytes(self) -> int:
        """Room that states take on disk."""
        return self._file.held_bytes if self._file else 0

    def __getitem__(self, id: int) -> Agent:
        """Return an agent, in memory, that may be changed."""
        agent = self._wake(id, begun=True)
        self._changing = id
        slot = self._slots.pop(id, None)
        if slot is not None and self._file is not None:
            self._file.free(slot)
        return agent

    def begun(self, id: int) -> Agent:
        """Return an agent, in memory and with a state of its own, which will not be changed."""
        return self._wake(id, begun=True)

    def unchanged(self, id: int) -> Agent:
        """Return an agent, in memory, whose state will not be changed."""
        return self._wake(id, begun=False)

    def resting(self, id: int) -> Agent:
        """Return an agent of whose state only the counters are asked for; it need not be in memory."""
        return self._agents[id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)

    def order(self, ids: Collection[int] | None = None) -> list[int]:
        """Return ids, by default all, in the order that reads least from disk: those in memory first."""
        return sorted(self if ids is None else ids, key=lambda id: id not in self._awake)

    def each(
        self, order: Sequence[int], look_up: Callable[[int], Agent] | None = None
    ) -> Iterator[tuple[int, Agent]]:
        """Look up one agent after another, by default to be changed; the next is read from disk meanwhile."""
        look_up = look_up or self.__getitem__
        for id, following in zip_longest(order, order[1:]):
            if following is not None:
                self._expect(following)
            yield id, look_up(id)

    def resident_of_untouched(self, id: int) -> SharedModel | None:
        """Return the resident whose initial weights an agent has; None where it has its own."""
        shares = id in self._untouched and not self._agents[id].draws_own_weights
        return self._agents[id].resident if shares else None

    def close(self) -> None:
        """Give up the file on disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _expect(self, id: int) -> None:
        if self._file is not None and id in self._slots and id not in self._awake:
            self._file.expect(self._slots[id])

    def _wake(self, id: int, begun: bool) -> Agent:
        agent = self._agents[id]
        self._measure_changing()
        size = self._awake.pop(id, None)
        if size is None:
            if id in self._untouched:
                if not begun and not agent.draws_own_weights:
                    return agent
                self._untouched.discard(id)
                agent.begin()
            elif self._file is not None:
                agent.state = replace(agent.state, **self._file.read(self._slots[id]))
            size = _bytes_of(agent)
            self._bytes += size
        self._awake[id] = size  # behind all others: the most recently used
        while self._bytes > self._budget and len(self._awake) > 1:
            self._put_to_sleep(next(iter(self._awake)))
        return agent

    def _measure_changing(self) -> None:
        """Measure the agent that was looked up last to be changed: it has grown, if it has trained since."""
        id, self._changing = self._changing, None
        if id is not None and id in self._awake:
            size = _bytes_of(self._agents[id])
            self._bytes += size - self._awake[id]
            self._awake[id] = size

    def _put_to_sleep(self, id: int) -> None:
        agent = self._agents[id]
        self._file = self._file or SpillFile(self._folder)
        if id not in self._slots:
            self._slots[id] = self._file.write(_heavy(agent.state))
        size = self._awake.pop(id)
        self._bytes -= size
        nothing = torch.empty(0)
        agent.state = replace(
            agent.state, parameters=nothing, optimizer=[], memory={}, objectives=[]
        )
        self._freed += size
        if self._freed > _KEPT_BYTES:
            # The holes that states leave in the heap are taken by what is smaller; the next state is put
            # elsewhere, and in the end the process would hold the budget twice.
            return_freed_memory()
            self._freed = 0


def _bytes_of(agent: Agent) -> int:
    return tree_bytes(_heavy(agent.state))


def _heavy(state: AgentState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in _SPILLED}
