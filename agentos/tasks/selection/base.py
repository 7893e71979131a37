"""Base of selections: they decide which models of a library work on a task.

Shapes: M models, N texts, D embedding width of a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.errors import ConfigurationError
from protocols.spec import Spec

Embeddings = NDArray[np.floating]


@dataclass(frozen=True)
class Candidates:
    """M models, and what is known of them.

    Args:
        origins: origin of each model's weights; of models with equal origins only one is chosen.
        parameters: size of each model.
        embeddings: `[N, D]` of the same texts by each model, D as the model has it; of the part of the task
            that is fitted on.
        labels: `[N]`, codes from 0; None without labels.

    Raises:
        ConfigurationError: there is no model, or the fields do not fit each other.
    """

    origins: tuple[str, ...]
    parameters: tuple[int, ...]
    embeddings: tuple[Embeddings, ...] = ()
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        sizes = {len(rows) for rows in self.embeddings}
        if self.labels is not None and self.embeddings:
            sizes.add(len(self.labels))
        models = {len(self.origins), len(self.parameters)}
        if self.embeddings:
            models.add(len(self.embeddings))
        if not self.origins or len(models) > 1 or len(sizes) > 1:
            raise ConfigurationError(
                "the candidates of a selection do not fit each other",
                expected="at least one model; for each an origin, a size and embeddings of the same texts",
                actual=f"{len(self.origins)} origins, {len(self.parameters)} sizes, embeddings of "
                f"{sorted(map(len, self.embeddings))} texts, "
                f"{'no' if self.labels is None else len(self.labels)} labels",
                hint="add a model with `agentos.tasks.library`, and embed the same texts with each",
            )

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Choice:
    """The outcome of a selection.

    Args:
        models: the chosen models, the fittest first; no two of one origin.
        fitness: of every candidate; None for those that a prefilter left out.
    """

    models: tuple[int, ...]
    fitness: tuple[float | None, ...]


class Selection(Spec, ABC):
    """Base of every selection."""

    kind: str
    needs_labels: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = False

    top: int = Field(
        4, ge=1, description="Models to choose; fewer if the library has fewer origins."
    )

    def choose(self, candidates: Candidates, seed: int = 0) -> Choice:
        """Return the fittest models of distinct origins; of equally fit ones the first.

        Raises:
            ConfigurationError: the kind needs labels or embeddings, and there are none.
        """
        self._check(candidates)
        fitness = self.fitness(candidates, seed)
        measured = [model for model, value in enumerate(fitness) if value is not None]
        chosen: list[int] = []
        for model in sorted(measured, key=lambda each: (-(fitness[each] or 0.0), each)):
            if candidates.origins[model] not in {candidates.origins[each] for each in chosen}:
                chosen.append(model)
        return Choice(tuple(chosen[: self.top]), tuple(fitness))

    @abstractmethod
    def fitness(self, candidates: Candidates, seed: int) -> Sequence[float | None]:
        """Return how fit each model is, larger is better; None for those that are left out unmeasured."""

    def _check(self, candidates: Candidates) -> None:
        lacks_labels = self.needs_labels and candidates.labels is None
        if lacks_labels or (self.needs_embeddings and not candidates.embeddings):
            what = "labels" if lacks_labels else "embeddings"
            raise ConfigurationError(
                f"the selection {self.kind!r} needs {what}",
                expected=f"{what} of the texts to fit on",
                actual="none",
                hint="use `select: largest`, which needs neither",
            )


def first_of_each_origin(candidates: Candidates) -> list[int]:
    """Return one model of each origin, in their order.

    Example:
        >>> first_of_each_origin(Candidates(("a", "b", "a"), (1, 1, 1)))
        [0, 1]
    """
    return sorted({origin: i for i, origin in reversed([*enumerate(candidates.origins)])}.values())


def regret(quality: Sequence[float], chosen: Sequence[int]) -> float:
    """Return how far the best chosen model is behind the best of all.

    Args:
        quality: measured quality of every model, after each was adapted.
        chosen: the chosen models.

    Example:
        >>> round(regret([0.7, 0.9, 0.8], chosen=[0, 2]), 6)
        0.1
    """
    return float(max(quality) - max(quality[model] for model in chosen))
