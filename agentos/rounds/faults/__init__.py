"""Faults injected into a run on purpose, replayable from its seed; one class each."""

from agentos.rounds.faults.base import Fault
from agentos.rounds.faults.byzantine import Byzantine
from agentos.rounds.faults.churn import Churn
from agentos.rounds.faults.corrupt import Corrupt
from agentos.rounds.faults.delay import Delay
from agentos.rounds.faults.drop import Drop
from agentos.rounds.faults.duplicate import Duplicate
from agentos.rounds.faults.kill import Kill
from agentos.rounds.faults.network_partition import NetworkPartition
from agentos.rounds.faults.poison_labels import PoisonLabels
from agentos.rounds.faults.reorder import Reorder
from agentos.rounds.faults.stall import Stall

FAULTS: dict[str, type[Fault]] = {
    "kill": Kill,
    "stall": Stall,
    "drop": Drop,
    "delay": Delay,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "network_partition": NetworkPartition,
    "churn": Churn,
    "corrupt": Corrupt,
    "poison_labels": PoisonLabels,
    "byzantine": Byzantine,
}

__all__ = ["FAULTS", "Fault"]
