"""Schedulers: who does which subtask when, on agents and links of unlike speed."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.scheduling.base import Scheduler
from agentos.tasks.scheduling.greedy import Greedy
from agentos.tasks.scheduling.heft import Heft
from agentos.tasks.scheduling.random_agents import RandomAgents
from agentos.tasks.scheduling.workload import Subtask

SCHEDULERS: Mapping[str, type[Scheduler]] = {
    "heft": Heft,
    "greedy": Greedy,
    "random": RandomAgents,
}
"""Every kind of scheduler. To add one, write its class in its own file and add a line here."""

__all__ = ["SCHEDULERS", "Greedy", "Heft", "RandomAgents", "Scheduler", "Subtask"]
