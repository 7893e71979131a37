"""An agent's part in a task: it adapts, answers and defers to the next one, and answers are fused."""

from __future__ import annotations

from collections.abc import Mapping

from agents.answering.adapt import Adaptation, Head, Linear, Prototype, out_of_fold
from agents.answering.answers import Answers, Examples, received
from agents.answering.defer import DEFERRALS, Deferral, calibrate, fit_deferral
from agents.answering.distil import Distil
from agents.answering.fuse import FUSIONS, FittedFusion, fit_fusion
from agents.answering.scorers import DeferralRule

ADAPTATIONS: Mapping[str, type[Adaptation]] = {
    "linear": Linear,
    "prototype": Prototype,
    "distil": Distil,
}
"""Every kind of adaptation. To add one, write its class in its own file and add a line here."""

__all__ = [
    "ADAPTATIONS",
    "Adaptation",
    "Answers",
    "DEFERRALS",
    "Deferral",
    "DeferralRule",
    "Examples",
    "FUSIONS",
    "FittedFusion",
    "Head",
    "calibrate",
    "fit_deferral",
    "fit_fusion",
    "out_of_fold",
    "received",
]
