"""The table of adaptations."""

from __future__ import annotations

from agents.answering.adapt import Adaptation, Linear, Prototype
from agents.answering.distil import Distil

ADAPTATIONS: dict[str, type[Adaptation]] = {
    "linear": Linear,
    "prototype": Prototype,
    "distil": Distil,
}
"""Every kind of adaptation. To add one, write its class in its own file and add a line here."""
