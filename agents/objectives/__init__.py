"""Self-supervised objectives: one file each, and the table that names them."""

from agents.objectives.base import Draft, Objected, Objective, Prepared, Ratio, Step
from agents.objectives.info_nce import InfoNCE
from agents.objectives.nt_xent import NTXent
from agents.objectives.simcse import SimCSE

OBJECTIVES: dict[str, type[Objective]] = {
    "info_nce": InfoNCE,
    "nt_xent": NTXent,
    "simcse": SimCSE,
}

__all__ = ["OBJECTIVES", "Draft", "Objected", "Objective", "Prepared", "Ratio", "Step"]
