"""Self-supervised objectives: one file each, and the table that names them."""

from agents.objectives.base import Draft, Objected, Objective, Prepared, Ratio, Step
from agents.objectives.causal_lm import CausalLM
from agents.objectives.info_nce import InfoNCE
from agents.objectives.masked_lm import MaskedLM

OBJECTIVES: dict[str, type[Objective]] = {
    "info_nce": InfoNCE,
    "masked_lm": MaskedLM,
    "causal_lm": CausalLM,
}

__all__ = ["OBJECTIVES", "Draft", "Objected", "Objective", "Prepared", "Ratio", "Step"]
