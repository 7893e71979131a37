"""Retentions, which keep an agent from forgetting: replay, penalties and merging."""

from agents.continual.base import Consolidation, Retention
from agents.continual.der import DER
from agents.continual.er import ER
from agents.continual.ewc import EWC
from agents.continual.largest_change import Merge
from agents.continual.ridge_memory import Ridge

RETENTIONS: dict[str, type[Retention]] = {
    "er": ER,
    "der": DER,
    "ewc": EWC,
    "merge": Merge,
    "ridge": Ridge,
}
"""Every kind of retention. To add one, write its class in its own file and add a line here."""

__all__ = ["Consolidation", "DER", "ER", "EWC", "Merge", "RETENTIONS", "Retention", "Ridge"]
