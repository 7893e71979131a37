"""Retentions, which keep an agent from forgetting while it learns on: replay and penalties."""

from agents.continual.base import Consolidation, Retention
from agents.continual.er import ER
from agents.continual.ewc import EWC
from agents.continual.ridge_memory import Ridge

RETENTIONS: dict[str, type[Retention]] = {
    "er": ER,
    "ewc": EWC,
    "ridge": Ridge,
}
"""Every kind of retention. To add one, write its class in its own file and add a line here."""

__all__ = ["Consolidation", "ER", "EWC", "RETENTIONS", "Retention", "Ridge"]
