"""Models by size, or by lot: what a measured choice has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentos.tasks.selection.base import Candidates, Selection
from protocols.seeding import generator


class Largest(Selection):
    """The models with most parameters."""

    kind: Literal["largest"] = "largest"

    def fitness(self, candidates: Candidates, seed: int) -> Sequence[float | None]:
        """Return the numbers of parameters; see `Selection.fitness`."""
        return [float(size) for size in candidates.parameters]


class RandomModels(Selection):
    """A control: models drawn at random."""

    kind: Literal["random"] = "random"

    def fitness(self, candidates: Candidates, seed: int) -> Sequence[float | None]:
        """Return a draw for each model, by its place; see `Selection.fitness`."""
        draws = generator(seed, "selection", "random").random(len(candidates))
        return [float(draw) for draw in draws]
