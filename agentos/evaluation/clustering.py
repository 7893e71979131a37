"""Do documents of one label lie in one cluster?

Shapes: N documents, D embedding width.
"""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.labelled import check_labels
from agents.models.text_encoder import TextEncoder
from protocols.seeding import derive, generator


class Clustering(Task):
    """Clustering: V-measure of mini-batch k-means, as many clusters as labels, against the labels.

    As in mteb, embeddings are neither centred nor normalised. The mean over several initialisations
    is reported. 0 says that clusters tell nothing of labels, 1 that they are the same.

    Source: A. Rosenberg and J. Hirschberg, "V-Measure: A Conditional Entropy-Based External Cluster
    Evaluation Measure" (2007); N. Muennighoff et al., "MTEB" (2023).

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

    kind: Literal["clustering"] = "clustering"
    documents: int = Field(default=2000, ge=4, description="documents to use, at most")
    initialisations: int = Field(default=5, ge=1, description="runs of k-means to average over")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels held twice."""
        check_labels(self.kind, heldout)

    def evaluate(self, subject: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``v_measure``, in [0, 1]."""
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.metrics import v_measure_score
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        order = generator(seed, "evaluation", self.kind).permutation(len(heldout.texts))
        chosen = order[: self.documents]
        labels = np.array(heldout.labels)[chosen]
        rows_ND = subject.embed([heldout.texts[i] for i in chosen])
        scores = []
        # Threads would add up distances in another order on another machine.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            # A collapsed encoder has fewer distinct points than clusters: its score says so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for draw in range(self.initialisations):
                model = MiniBatchKMeans(
                    n_clusters=len(np.unique(labels)),
                    batch_size=512,
                    n_init=1,
                    random_state=derive(seed, "evaluation", self.kind, draw) % 2**32,
                )
                scores.append(v_measure_score(labels, model.fit_predict(rows_ND)))
        return {"v_measure": float(np.mean(scores))}
