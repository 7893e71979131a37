"""The setting of a society: its network, its clock and the faults that strike."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.rounds.clock.timing import Timing
from agentos.rounds.faults.base import Fault
from protocols.topologies import Network

SILENT, NOT_ASKED = -2, -1
"""In place of a class: the agent abstained or its answer is lost; the agent was not asked."""


@dataclass(frozen=True)
class Setting:
    """The setting of a society.

    Attributes:
        network: who may send to whom.
        timing: simulated speeds and links.
        task: name of the task in messages.
        seed: the run's seed.
        faults: the fault script; faults strike in round 1.
        deadline_s: simulated seconds after which a message counts as lost.
    """

    network: Network
    timing: Timing
    task: str
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    deadline_s: float = 60.0
