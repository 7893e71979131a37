"""An agent's part in a task: it adapts, answers and defers to the next one, and answers are fused."""

from __future__ import annotations

from agents.answering.adapt import Adaptation, Head, out_of_fold
from agents.answering.adaptations import ADAPTATIONS
from agents.answering.answers import Answers, Examples, received
from agents.answering.defer import DEFERRALS, Deferral, calibrate, fit_deferral
from agents.answering.fuse import FUSIONS, FittedFusion, fit_fusion
from agents.answering.scorers import DeferralRule

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
