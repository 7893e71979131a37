"""Analysis of a task: its texts, the noise of its labels, and the headroom of cooperation."""

from __future__ import annotations

from agentos.tasks.analysis.analysis import Analysis, analyse
from agentos.tasks.analysis.headroom import Headroom, headroom
from agentos.tasks.analysis.label_noise import LabelNoise, label_noise
from agentos.tasks.analysis.v_information import pointwise_v_information

__all__ = [
    "Analysis",
    "Headroom",
    "LabelNoise",
    "analyse",
    "headroom",
    "label_noise",
    "pointwise_v_information",
]
