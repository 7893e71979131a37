"""The evaluator: runs several tasks on one encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from agentos.evaluation.base import HeldOut, Metric, Task, variant_name
from agents.models.cpu.one_thread import one_thread
from agents.models.text_encoder import CachedEmbeddings, TextEncoder, not_finite
from protocols.errors import ConfigurationError


@dataclass(frozen=True)
class Evaluator:
    """Runs every task on an encoder; each distinct text is embedded once.

    Linear algebra runs on one thread: sums split over threads would make the numbers depend on the
    machine and on how agents are packed onto it.

    Args:
        tasks: evaluation tasks.
        heldout: documents on which they are computed.
        seed: the run's seed.

    Example:
        >>> import numpy as np
        >>> from agentos.evaluation import Geometry
        >>> from agents.models.text_encoder import FunctionEncoder
        >>> texts = tuple(f"the words of text number {i} are these {i}" for i in range(16))
        >>> def embed(texts):
        ...     return np.array([[len(t), t.count("t"), 1.0] for t in texts], dtype=np.float32)
        >>> sorted(Evaluator((Geometry(),), HeldOut(texts), seed=0)(FunctionEncoder(embed)))
        ['alignment', 'dead_dimensions', 'dimension_spread', 'mean_share', 'rankme', 'uniformity']
    """

    tasks: tuple[Task, ...]
    heldout: HeldOut
    seed: int

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that a call returns, in the order of the tasks."""
        return tuple(metric for task in self.tasks for metric in task.metrics)

    def with_files(self) -> Evaluator:
        """Return the evaluator with the files of its tasks read; hosts then need no copy.

        Raises:
            DataError: a file is missing, empty or malformed.
        """
        return replace(self, tasks=tuple(task.with_files() for task in self.tasks))

    def check(self) -> None:
        """Refuse tasks that need other held-out documents, and tasks that report the same metric.

        Raises:
            ConfigurationError: as `Task.check`, or two tasks report the same metric.
        """
        names = [metric.name for metric in self.metrics]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigurationError(
                "Two evaluation tasks report the same metric",
                expected="every metric once",
                actual=", ".join(doubled),
                hint="name each kind once in evaluation.tasks",
            )
        for task in self.tasks:
            task.check(self.heldout)

    def __call__(self, encoder: TextEncoder) -> dict[str, float]:
        """Return the metrics of all tasks for one encoder; see `examine`."""
        return self.examine(encoder)[0]

    def examine(
        self, encoder: TextEncoder, variant: str = ""
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the metrics of all tasks for one encoder, and the data of their figures.

        Args:
            encoder: the encoder under test.
            variant: a key of `agentos.evaluation.base.VARIANTS` if its embeddings are mapped so; only the
                tasks that this can change are computed, and their metrics carry its name.

        Returns:
            The metrics; and for each kind of task with a figure in the report, JSON values.

        Raises:
            ConfigurationError: a task needs a language-model head, and the encoder has none.
            TrainingError: the encoder or a task returned a number that is not finite.
        """
        cached = CachedEmbeddings(encoder)
        values: dict[str, float] = {}
        figures: dict[str, Any] = {}
        with one_thread():
            for task in self.tasks:
                if variant and variant not in task.affected_by:
                    continue
                metrics, figures[task.kind] = task.examine(cached, self.heldout, self.seed)
                values.update({variant_name(name, variant): x for name, x in metrics.items()})
        for name, value in values.items():
            if not math.isfinite(value):
                raise not_finite(f"The metric {name}", value)
        return values, {kind: data for kind, data in figures.items() if data}
