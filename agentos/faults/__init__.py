"""Faults that a run suffers on purpose, replayable from its seed; one class each."""

from agentos.faults.base import Fault
from agentos.faults.byzantine import Byzantine
from agentos.faults.churn import Churn
from agentos.faults.corrupt import Corrupt
from agentos.faults.delay import Delay
from agentos.faults.drop import Drop
from agentos.faults.duplicate import Duplicate
from agentos.faults.kill import Kill
from agentos.faults.partition import Partition
from agentos.faults.poison_labels import PoisonLabels
from agentos.faults.reorder import Reorder
from agentos.faults.stall import Stall

FAULTS: dict[str, type[Fault]] = {
    "kill": Kill,
    "stall": Stall,
    "drop": Drop,
    "delay": Delay,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "partition": Partition,
    "churn": Churn,
    "corrupt": Corrupt,
    "poison_labels": PoisonLabels,
    "byzantine": Byzantine,
}

__all__ = ["FAULTS", "Fault"]
