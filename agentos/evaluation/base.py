"""Base of evaluation tasks, their metrics, and the documents that they use.

Shapes: N texts, D embedding width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr
from typing_extensions import Self

from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError, DataError
from protocols.spec import Spec

TIE_DECIMALS = 9
"""Decimals to which cosines are rounded before they are ranked; the rest is rounding noise."""
VARIANTS: Mapping[str, str] = {"centered": "centred", "whitened": "whitened"}
"""Maps of embeddings under which tasks are computed again, and the word for each in titles."""


@dataclass(frozen=True)
class HeldOut:
    """Documents that no agent trains on, with their labels if the source has labels.

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
                hint="give one label per text, or none at all",
            )


@dataclass(frozen=True)
class Metric:
    """Meaning of a number that an evaluation reports.

    Args:
        name: its key in the records.
        higher_is_better: whether larger values are better.
        help: one sentence for a reader of the report.
        percent: whether it is a share of one, to be shown as a percentage.
        label: title in tables and charts; derived from the name by default.
        minor: whether only the report shows it, and the terminal does not.
        variant_of: name of the metric that this is of mapped or joint embeddings; empty if none.
        diagnostic: whether it describes embeddings and is no outcome: an untrained encoder may have the best
            value, so tables neither colour its differences nor judge a run by it.

    Example:
        >>> Metric(name="nearest_hit", higher_is_better=True, help="Share of hits.").title
        'Nearest hit'
    """

    name: str
    higher_is_better: bool
    help: str
    percent: bool = False
    label: str = ""
    minor: bool = False
    variant_of: str = ""
    diagnostic: bool = False

    @property
    def title(self) -> str:
        """Title in tables and charts."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def phrase(self) -> str:
        """The title as it stands within a sentence; an abbreviation keeps its capitals.

        Example:
            >>> Metric("mrr", True, help="", label="MRR").phrase, Metric("recall", True, help="").phrase
            ('MRR', 'recall')
        """
        title = self.title
        return title if title[1:2].isupper() else title[:1].lower() + title[1:]

    @property
    def arrow(self) -> str:
        """The direction that is better, for tables; a tilde for a diagnostic."""
        return "~" if self.diagnostic else "↑" if self.higher_is_better else "↓"

    def on(self, variant: str) -> Metric:
        """Return the same metric on mapped embeddings; see `VARIANTS`.

        Example:
            >>> Metric(name="mrr", label="MRR", higher_is_better=True, help="Rank.").on("centered").title
            'MRR, centred'
        """
        word = VARIANTS[variant]
        return replace(
            self,
            name=variant_name(self.name, variant),
            label=f"{self.title}, {word}",
            help=f"{self.help} On embeddings {word} by the training text of each agent.",
            variant_of=self.name,
        )

    def gain(self, value: float, reference: float) -> float:
        """Return how much better ``value`` is than ``reference``; negative if it is worse."""
        return value - reference if self.higher_is_better else reference - value


class Task(Spec, ABC):
    """One evaluation: its parameters, its requirements, and its computation.

    A task draws only from generators named after its seed, so that every agent and every round is
    measured on the same documents.
    """

    needs_labels: ClassVar[bool] = False
    needs_head: ClassVar[Literal["masked", "causal"] | None] = None
    """The kind of language-model head that the encoder must have."""
    metrics: ClassVar[tuple[Metric, ...]]
    affected_by: ClassVar[frozenset[str]] = frozenset()
    """Those of `VARIANTS` that can change its metrics; it is computed again under them."""

    kind: str
    _files: Any = PrivateAttr(default=None)

    @abstractmethod
    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return one finite number per entry of `metrics`.

        Args:
            encoder: the encoder under test.
            heldout: documents that `check` has accepted.
            seed: the run's seed.
        """

    @abstractmethod
    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out documents on which this task cannot be computed.

        Raises:
            ConfigurationError: labels are missing, or too few documents have the right form.
        """

    def examine(
        self, encoder: TextEncoder, heldout: HeldOut, seed: int
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the metrics of `evaluate`, and JSON values for a figure of the report, if it has one."""
        return self.evaluate(encoder, heldout, seed), {}

    def metrics_with(self, variants: Iterable[str]) -> tuple[Metric, ...]:
        """Return its metrics, each followed by its values under those variants that affect the task."""
        used = [variant for variant in variants if variant in self.affected_by]
        return tuple(
            shown
            for metric in self.metrics
            for shown in (metric, *(metric.on(variant) for variant in used))
        )

    def read(self) -> Any:
        """Return the content of the task's own files; None for most tasks.

        Raises:
            DataError: a file is missing, empty or malformed.
        """
        return None

    def with_files(self) -> Self:
        """Return the task with its files read, so that hosts on other machines need no copy."""
        task = self.model_copy()
        task._files = self.read()
        return task

    @property
    def files(self) -> Any:
        """Content of the task's files; read now, unless the task carries it."""
        return self.read() if self._files is None else self._files


def variant_name(name: str, variant: str) -> str:
    """Return the name of a metric under a variant, or the plain name.

    Example:
        >>> variant_name("mrr", "centered"), variant_name("mrr", "")
        ('centered_mrr', 'mrr')
    """
    return f"{variant}_{name}" if variant else name


def unit_rows(rows_ND: NDArray[np.floating]) -> NDArray[np.float64]:
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
    """Return the error for too few held-out documents of the right form."""
    return ConfigurationError(
        f"The evaluation task {kind!r} cannot be computed on the held-out documents",
        expected=f"at least {needed} {what}",
        actual=f"{found}",
        hint=f"hold out more documents, or take {kind} out of evaluation.tasks",
    )
