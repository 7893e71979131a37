"""Self-supervised objectives: one file each, and the table that names them."""

from agents.objectives.base import Objected, Objective, Step
from agents.objectives.info_nce import InfoNCE

OBJECTIVES: dict[str, type[Objective]] = {"info_nce": InfoNCE}

__all__ = ["OBJECTIVES", "Objected", "Objective", "Step"]
