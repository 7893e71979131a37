"""A master divides a task: its parts are scheduled on unlike agents, answered by them, and joined.

The master announces the task and takes bids, as in contract nets; plans the parts with the bidders, and
assigns each. Where a fault script takes an agent away, its parts go to others: each new plan is the next
round of the script. Simulated seconds are those of the schedule that was carried out, with the FLOPs and
bytes that were counted.

Source: Smith, The Contract Net Protocol, 1980.

Legend: Q queries, A agents, P parts, G groups of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentos.rounds.faults.policies import PolicyConfig
from agentos.tasks.cooperation.base import Architecture
from agentos.tasks.cooperation.contracts import Contracts
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.fan_out import take_bids
from agentos.tasks.decomposition import Decomposition, Division
from agentos.tasks.decomposition.part_heads import FittedDivision, capable
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.work_plan import PlannedWork, Rules, schedule_work
from agentos.tasks.scheduling import Scheduler
from agentos.tasks.scheduling.message_faults import Script
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.under_faults import Aftermath, carry_out
from agentos.tasks.scheduling.workload import transit_between
from agents.answering import Answers
from protocols.errors import ConfigurationError, HostLost


@dataclass(frozen=True)
class Divided(Architecture):
    """A fitted division: every part can be done by several agents.

    Attributes:
        fitted: the parts, and their heads on every agent that may do them.
        fitness: `[P, A]`, out-of-fold accuracy of each agent at each part.
        decompose: divides other texts anew, and bounds who is good enough.
        schedule: decides who does what when.
    """

    fitted: FittedDivision
    fitness: NDArray[np.float64]
    decompose: Decomposition
    schedule: Scheduler

    def converse(self, talk: Conversation) -> Answers:
        """Take bids, plan, assign, collect and join."""
        dead = talk.victims()
        master = next((agent for agent in range(len(talk.panel)) if agent not in dead), None)
        if master is None:
            raise HostLost("no agent is left to answer", hint="see the fault script")
        bidders = take_bids(talk, master, 0.0)
        talk.step("bids", master, 0.0, {f"bid of {agent}": size for agent, size in bidders.items()})
        # Without a bid the master cannot know whether one is still to come.
        missing = len(bidders) + 1 < len(talk.panel)
        bidding_s = talk.setting.deadline_s if missing else talk.makespan_s
        try:
            planned = self.planned(talk, master, {master, *bidders})
            script = _script(talk, master)
            after = carry_out(
                planned.workload, planned.schedule, self.schedule, script, planned.lasting
            )
        except ConfigurationError as error:
            raise HostLost(f"a part is left without an agent: {error}", hint=error.hint) from error
        contracts = Contracts(talk, self.fitted, planned, master)
        contracts.carry_out(after)
        contracts.complete(self._orders(planned, after))
        talk.took(bidding_s + self._measured_s(talk, planned, contracts, script))
        return contracts.joined()

    def planned(self, talk: Conversation, master: int, bidders: set[int]) -> PlannedWork:
        """Return the schedule of the parts on the agents that have bid.

        Raises:
            ConfigurationError: a part is left without an agent.
        """
        panel, timing = talk.panel, talk.setting.timing
        workers = [_worker(talk, agent) for agent in range(len(panel))]
        speeds = tuple(
            timing.speeds[agent] / member.card.flops_per_token
            for agent, member in enumerate(panel.members)
        )
        lengths = workers[0].lengths.astype(np.float64)
        division = self.decompose.for_texts(self.fitted.division, lengths, speeds)
        measured = self._measured(division, bidders)
        names = [worker.card.name for worker in workers]
        able = capable(division, measured, names, self.decompose.slack)
        setting = talk.setting
        rules = Rules(self.schedule, able, measured, setting.seed, master, setting.task)
        return schedule_work(division, workers, timing, rules)

    def _measured(self, division: Division, bidders: set[int]) -> NDArray[np.float64]:
        """Return the fitness `[P, A]` at the parts of a division, -1 for agents that have not bid."""
        known = list(zip(self.fitted.division.parts, self.fitness, strict=True))
        by_name = {part.name: row for part, row in known}
        by_groups = {part.groups: row for part, row in known}  # shards are one task for other texts
        found = np.stack(
            [by_name.get(part.name, by_groups[part.groups]) for part in division.parts]
        )
        away = [agent for agent in range(found.shape[1]) if agent not in bidders]
        found[:, away] = -1.0
        return found

    def _orders(self, planned: PlannedWork, after: Aftermath) -> Mapping[str, list[int]]:
        """Return the agents that may be asked for a part, the one that was to do it in the end first."""
        spare = planned.workload.spare
        allowed = planned.workload.allowed if spare is None else spare
        lost = {loss.agent for loss in after.losses}
        orders = {}
        for place, part in enumerate(planned.work.parts, start=1):
            first = after.schedule.placements[place].agent
            others = [int(a) for a in np.flatnonzero(allowed[place]) if a not in lost]
            orders[part.name] = list(dict.fromkeys([first, *others]))
        return orders

    def _measured_s(
        self, talk: Conversation, planned: PlannedWork, contracts: Contracts, script: Script
    ) -> float:
        """Return the makespan with the FLOPs and bytes that were counted in place of the planned ones."""
        arrows = {**planned.workload.arrows, **contracts.sizes}
        timing = talk.setting.timing
        transit_s = {size: transit_between(timing, size) for size in set(arrows.values())}
        workload = replace(planned.workload, arrows=arrows, transit_s=transit_s)

        def lasting(schedule: Schedule) -> NDArray[np.float64]:
            seconds = planned.lasting(schedule)
            for (subtask, agent), flops in contracts.spent.items():
                seconds[subtask, agent] = flops / planned.speeds[agent]
            return seconds

        return carry_out(
            workload, planned.schedule, self.schedule, script, lasting
        ).schedule.makespan_s


def _worker(talk: Conversation, agent: int) -> Worker:
    panel = talk.panel
    member, ids = panel.members[agent], talk.queries.ids
    width, seen = member.head.weight.shape[0], max(len(member.head.seen), 1)
    return Worker(member.card, panel.tokens(agent, ids), panel.length, width, seen)


def _script(talk: Conversation, master: int) -> Script:
    setting = talk.setting
    policy = PolicyConfig(deadline_s=setting.deadline_s)
    return Script(setting.faults, policy, setting.seed, master)
