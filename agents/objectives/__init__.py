"""Self-supervised objectives: one file each, and the table that names them."""

from agents.objectives.base import Draft, Objected, Objective, Prepared, Ratio, Step
from agents.objectives.info_nce import InfoNCE

OBJECTIVES: dict[str, type[Objective]] = {"info_nce": InfoNCE}

__all__ = ["OBJECTIVES", "Draft", "Objected", "Objective", "Prepared", "Ratio", "Step"]
