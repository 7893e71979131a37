"""What an evaluation task is, and the evaluator that runs several on one encoder.

Shapes: N texts, D embedding width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError, DataError, TrainingError
from protocols.spec import Spec

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> ``[N, D]`` float32: the encoder's pooled output, not normalised."""

TIE_DECIMALS = 9
"""Cosines that agree to so many decimals count as equal; the rest is rounding noise."""


@dataclass(frozen=True)
class HeldOut:
    """Documents that no agent trains on, with their labels where the source has them.

    Args:
        texts: one string per document.
        labels: one label per document, or None.

    Raises:
        DataError: there are not as many labels as texts.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.texts):
            raise DataError(
                "Held-out texts and labels do not match",
                expected=f"{len(self.texts)} labels",
                actual=f"{len(self.labels)} labels",
                mend="give one label per text, or none at all",
            )


@dataclass(frozen=True)
class Metric:
    """What a number of an evaluation means.

    Args:
        name: its key in the records.
        higher_is_better: which way is up.
        help: one sentence for a reader of the report.
        percent: whether it is a share of one, better shown as a percentage.
        label: what tables and charts call it; by default made from the name.

    Example:
        >>> Metric(name="nearest_hit", higher_is_better=True, help="Share of hits.").title
        'Nearest hit'
    """

    name: str
    higher_is_better: bool
    help: str
    percent: bool = False
    label: str = ""

    @property
    def title(self) -> str:
        """What tables and charts call it."""
        return self.label or self.name.replace("_", " ").capitalize()

    def gain(self, value: float, reference: float) -> float:
        """Return how much better ``value`` is than ``reference``; negative if it is worse."""
        return value - reference if self.higher_is_better else reference - value


class Task(Spec, ABC):
    """One evaluation: its parameters, what it needs, and how it is computed.

    A task draws only from generators named after its seed, so that every agent and every round is
    measured on the same documents.
    """

    needs_labels: ClassVar[bool] = False
    metrics: ClassVar[tuple[Metric, ...]]

    kind: str

    @abstractmethod
    def evaluate(self, embed: Embed, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return one finite number per entry of `metrics`.

        Args:
            embed: the encoder under test.
            heldout: documents that `check` has accepted.
            seed: the run's seed.
        """

    @abstractmethod
    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out documents that this task cannot be computed on.

        Raises:
            ConfigurationError: there are no labels, or too few documents of the right form.
        """


@dataclass(frozen=True)
class Evaluator:
    """Runs every task on an encoder; each distinct text is embedded once.

    Linear algebra runs on one thread: sums split over threads would make the numbers depend on the
    machine and on how agents are packed onto it.

    Args:
        tasks: what to measure.
        heldout: what to measure it on.
        seed: the run's seed.

    Example:
        >>> from agentos.evaluation import Geometry
        >>> texts = tuple(f"the words of text number {i} are these {i}" for i in range(16))
        >>> def embed(texts):
        ...     return np.array([[len(t), t.count("t"), 1.0] for t in texts], dtype=np.float32)
        >>> sorted(Evaluator((Geometry(),), HeldOut(texts), seed=0)(embed))
        ['alignment', 'rankme', 'uniformity']
    """

    tasks: tuple[Task, ...]
    heldout: HeldOut
    seed: int

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that a call returns, in the order of the tasks."""
        return tuple(metric for task in self.tasks for metric in task.metrics)

    def check(self) -> None:
        """Refuse tasks that these held-out documents cannot feed, or that share a metric's name.

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
                mend="name each kind once in evaluation.tasks",
            )
        for task in self.tasks:
            task.check(self.heldout)

    def __call__(self, embed: Embed) -> dict[str, float]:
        """Return the metrics of all tasks for one encoder.

        Raises:
            TrainingError: the encoder or a task returned a number that is not finite.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        memo = _Memo(embed)
        values: dict[str, float] = {}
        with threadpool_limits(limits=1, user_api="blas"):
            for task in self.tasks:
                values.update(task.evaluate(memo, self.heldout, self.seed))
        for name, value in values.items():
            if not math.isfinite(value):
                raise _not_finite(f"The metric {name}", value)
        return values


class _Memo:
    """An `Embed` that asks the wrapped one for each distinct text only once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update(zip(new, self._checked(new), strict=True))
        return np.stack([self._rows[text] for text in texts])

    def _checked(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.asarray(self._embed(texts), dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise TrainingError(
                "The encoder returned embeddings of the wrong shape",
                expected=f"[{len(texts)}, D]",
                actual=list(rows.shape),
                mend="return one pooled row per text",
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise _not_finite(f"The encoder's embedding of {len(bad)} texts", texts[bad[0]][:60])
        return rows


def _not_finite(what: str, actual: object) -> TrainingError:
    return TrainingError(
        f"{what} is not finite",
        expected="finite numbers",
        actual=actual,
        mend="lower training.learning_rate, or train in fp32",
    )


def unit_rows(rows_ND: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale each row to length 1, in float64; a row of zeros stays zero.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = rows_ND.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(norms > 0, norms, 1.0)
    return unit


def too_few(kind: str, needed: int, found: int, what: str) -> ConfigurationError:
    """Return the error of a task that has not enough held-out documents of the right form."""
    return ConfigurationError(
        f"The evaluation task {kind!r} cannot be computed on the held-out documents",
        expected=f"at least {needed} {what}",
        actual=f"{found}",
        mend=f"hold out more documents, or take {kind} out of evaluation.tasks",
    )
