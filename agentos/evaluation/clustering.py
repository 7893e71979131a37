"""Agreement of clusters with labels.

Shapes: N documents, D embedding width.
"""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.label_split import check_labels
from agents.models.text_encoder import TextEncoder
from protocols.seeding import derive, generator


class Clustering(Task):
    """Clustering: V-measure of mini-batch k-means, as many clusters as labels, against the labels.

    As in mteb, embeddings are neither centred nor normalised. Distances do not depend on the origin, so
    centring would change nothing. The result is the mean over several initialisations: 0 if clusters and
    labels are independent, 1 if they are the same.

    Sources: Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation
    Measure, 2007; Muennighoff et al., MTEB: Massive Text Embedding Benchmark, 2023.

    Example:
        >>> Clustering(initialisations=3).needs_labels
        True
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="v_measure",
            label="V-measure",
            higher_is_better=True,
            help="How well clusters of held-out documents fit their labels, from 0 to 1.",
        ),
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"whitened"})

    kind: Literal["clustering"] = "clustering"
    documents: int = Field(default=2000, ge=4, description="documents to use, at most")
    initialisations: int = Field(default=5, ge=1, description="runs of k-means to average over")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels of two documents."""
        check_labels(self.kind, heldout)

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``v_measure``, in [0, 1]."""
        from sklearn import cluster, exceptions, metrics

        order = generator(seed, "evaluation", self.kind).permutation(len(heldout.texts))
        chosen = order[: self.documents]
        labels = np.array(heldout.labels)[chosen]
        rows_ND = encoder.embed([heldout.texts[i] for i in chosen])
        scores = []
        # With several threads, the order in which distances add up would depend on the machine.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            # A collapsed encoder has fewer distinct points than clusters; its score shows it.
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            for draw in range(self.initialisations):
                model = cluster.MiniBatchKMeans(
                    n_clusters=len(np.unique(labels)),
                    batch_size=512,
                    n_init=1,
                    random_state=derive(seed, "evaluation", self.kind, draw) % 2**32,
                )
                scores.append(metrics.v_measure_score(labels, model.fit_predict(rows_ND)))
        return {"v_measure": float(np.mean(scores))}
