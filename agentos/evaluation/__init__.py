"""Evaluation of encoders on documents that no agent trains on."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.clustering import Clustering
from agentos.evaluation.evaluator import Evaluator
from agentos.evaluation.few_shot import FewShot
from agentos.evaluation.geometry import Geometry
from agentos.evaluation.knn import KNN
from agentos.evaluation.language import MaskedAccuracy, Perplexity
from agentos.evaluation.own_labels import OwnLabels
from agentos.evaluation.probe import Probe
from agentos.evaluation.retrieval import Retrieval
from agentos.evaluation.sts import STS, PairClassification

TASKS: Mapping[str, type[Task]] = {
    "retrieval": Retrieval,
    "probe": Probe,
    "few_shot": FewShot,
    "own_labels": OwnLabels,
    "knn": KNN,
    "clustering": Clustering,
    "sts": STS,
    "pair_classification": PairClassification,
    "perplexity": Perplexity,
    "masked_accuracy": MaskedAccuracy,
    "geometry": Geometry,
}
"""Every kind of evaluation task. To add one, write its class and add a line here."""

__all__ = [
    "TASKS",
    "Clustering",
    "Evaluator",
    "FewShot",
    "Geometry",
    "HeldOut",
    "KNN",
    "MaskedAccuracy",
    "Metric",
    "OwnLabels",
    "PairClassification",
    "Perplexity",
    "Probe",
    "Retrieval",
    "STS",
    "Task",
]
