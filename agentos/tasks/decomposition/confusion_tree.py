r"""A tree of easier classifications, from what is taken for what.

The soft confusion of two classes is \(C_{ij}\), the mean probability of j for texts of i, out of fold, made
symmetric by its mean with \(C_{ji}\). Classes are clustered by complete linkage of \(1 - C_{ij}\): those that
are taken for each other meet low in the tree.

Source: Godbole, Exploiting Confusion Matrices for Automatic Generation of Topic Hierarchies, 2002; Bengio et
al., Label Embedding Trees for Large Multi-Class Tasks, 2010.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentos.tasks.decomposition.base import Decomposition, Evidence
from agentos.tasks.decomposition.division import Division, Group, Labels, Part, Rows
from protocols.errors import ConfigurationError


class ConfusionTree(Decomposition):
    """A tree of classifications: classes that are taken for each other are told apart last."""

    kind: Literal["confusion_tree"] = "confusion_tree"
    branching: int = Field(4, ge=2, description="Most groups that a subtask tells apart.")

    def divide(self, evidence: Evidence) -> Division:
        """Return a part for each inner node; see `Decomposition.divide`."""
        distances = 1 - confusion(evidence.answers.probabilities, evidence.labels)
        np.fill_diagonal(distances, 0.0)
        every = tuple(range(len(evidence.classes)))
        parts = self._parts(every, distances, "all")
        return Division(len(every), tuple(parts))

    def _parts(self, classes: Group, distances: Rows, name: str) -> list[Part]:
        groups = self._groups(classes, distances)
        parts = [Part(name, groups)]
        for number, group in enumerate(groups):
            if len(group) > 1:
                parts += self._parts(group, distances, f"{name}.{number}")
        return parts

    def _groups(self, classes: Group, distances: Rows) -> tuple[Group, ...]:
        # Not at the top: listing kinds imports this module.
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        if len(classes) <= self.branching:
            return tuple((each,) for each in classes)
        among = distances[np.ix_(classes, classes)]
        merged = linkage(squareform(among, checks=False), method="complete")
        cluster_K = fcluster(merged, self.branching, criterion="maxclust")
        groups: dict[int, list[int]] = {}
        for each, cluster in zip(classes, cluster_K, strict=True):
            groups.setdefault(int(cluster), []).append(each)
        if len(groups) == 1:  # equal distances cannot be cut: nothing is taken for anything
            return tuple((each,) for each in classes)
        return tuple(sorted(map(tuple, groups.values())))


def confusion(probabilities_NK: Rows, labels_N: Labels) -> Rows:
    """Return how much classes are taken for each other `[K, K]`, symmetric, in [0, 1].

    Raises:
        ConfigurationError: a class has no text.
    """
    classes = probabilities_NK.shape[1]
    members = np.eye(classes)[labels_N]
    counts = members.sum(axis=0)
    if not counts.all():
        raise ConfigurationError(
            "a class has no text whose confusion could be measured",
            expected="at least one labelled text of each class",
            actual=f"none of class {int(counts.argmin())}",
            hint="label more texts, or leave the class out of the task",
        )
    means = members.T @ probabilities_NK / counts[:, None]
    symmetric: Rows = (means + means.T) / 2
    return symmetric
