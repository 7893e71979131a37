"""Examples for decisions, used once each, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError
from protocols.seeding import generator

Ids = NDArray[np.int64]


@dataclass
class ExamplePool:
    """Labelled examples of all episodes so far; each decision takes some.

    Attributes:
        seed: draws which come first.
        fresh: whether an example is used in one decision only.
        episodes: ids of the examples of each episode, by its number.
        used: ids that decisions have used, in the order of use.
    """

    seed: int
    fresh: bool = True
    episodes: dict[int, Ids] = field(default_factory=dict)
    used: list[int] = field(default_factory=list)

    def add(self, episode: int, ids: Sequence[int] | Ids) -> None:
        """Add the examples of an episode.

        Raises:
            ConfigurationError: the episode has been added before, or an id is known already.
        """
        known = np.concatenate([*self.episodes.values(), np.zeros(0, np.int64)])
        added = np.asarray(ids, np.int64)
        if (
            episode in self.episodes
            or np.isin(added, known).any()
            or len(set(added.tolist())) < len(added)
        ):
            raise ConfigurationError(
                f"examples of episode {episode} are in the gate's pool already",
                expected="examples that the gate does not know",
                actual=f"{int(np.isin(added, known).sum())} known ones",
                hint="give each example to the gate once",
            )
        self.episodes[episode] = generator(self.seed, "gate", episode).permutation(added)

    def left(self) -> int:
        """Return the number of examples that a decision may still take."""
        return sum(len(ids) for ids in self._unused().values())

    def draw(self, count: int, taken: Sequence[int] = ()) -> Ids:
        """Take examples, from every episode in proportion to what it has left, at least one of each.

        Args:
            count: examples to take, at most.
            taken: ids that the present decision has taken before; they do not come again even where examples
                are reused.

        Returns:
            Their ids; fewer than `count` once the pool runs dry, in the order of the episodes.
        """
        unused = {
            episode: ids[~np.isin(ids, np.asarray(taken, np.int64))]
            for episode, ids in self._unused().items()
        }
        total = sum(len(ids) for ids in unused.values())
        share = min(1.0, count / total) if total else 0.0
        chosen = [ids[: max(1, round(share * len(ids)))] for ids in unused.values() if len(ids)]
        drawn = np.concatenate([*chosen, np.zeros(0, np.int64)])
        if self.fresh:
            self.used.extend(drawn.tolist())
        return drawn

    def _unused(self) -> dict[int, Ids]:
        if not self.fresh:
            return dict(sorted(self.episodes.items()))
        used = np.asarray(self.used, np.int64)
        return {e: ids[~np.isin(ids, used)] for e, ids in sorted(self.episodes.items())}
