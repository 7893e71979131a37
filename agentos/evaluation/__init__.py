"""How good is an encoder, on documents that nobody trained on?"""

from __future__ import annotations

from collections.abc import Mapping

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.evaluator import Evaluator
from agentos.evaluation.geometry import Geometry
from agentos.evaluation.probe import KNN, Probe
from agentos.evaluation.retrieval import Retrieval

TASKS: Mapping[str, type[Task]] = {
    "retrieval": Retrieval,
    "probe": Probe,
    "knn": KNN,
    "geometry": Geometry,
}
"""Every kind of evaluation task. To add one, write its class and add a line here."""

__all__ = [
    "TASKS",
    "Evaluator",
    "Geometry",
    "HeldOut",
    "KNN",
    "Metric",
    "Probe",
    "Retrieval",
    "Task",
]
