"""The results of the study of exchanges, by arm: paired by seed, at equal bytes, at equal FLOPs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from agentos.reporting.statistics import Interval, Share, gap_closed, interval, paired_p
from agentos.sweep.rows import FINISHED, Row

ISOLATED, ANCHORS = "isolated", "isolated_anchors"
CENTRALISED_STEPS, CENTRALISED = "centralised", "centralised_flops"
"""One encoder on all text: with the steps of one agent, and with the operations of all agents."""
FEDAVG, DILOCO, STAR = "fedavg", "diloco", "star"
UNTRAINED = "untrained"
ALONE = (ISOLATED, ANCHORS, CENTRALISED_STEPS, CENTRALISED)
"""Arms without an exchange, for which the topology does not matter."""


@dataclass(frozen=True)
class Arm:
    """The runs of an arm in a topology, by seed."""

    name: str
    topology: str
    runs: dict[int, Row]

    def values(self, column: str, seeds: Iterable[int] | None = None) -> list[float]:
        """Return one value per seed, for all seeds or for those given."""
        return [float(self.runs[seed][column]) for seed in seeds or sorted(self.runs)]

    def interval(self, column: str) -> Interval:
        """Return the mean over seeds with its confidence interval."""
        return interval(self.values(column))

    def mean(self, column: str) -> float:
        """Return the mean over seeds."""
        return float(np.mean(self.values(column)))

    def at(self, column: str, cost: str, budget: float) -> float | None:
        """Return the mean quality at the last evaluation within a budget, or None if there was none.

        Args:
            column: quality, such as ``probe_accuracy.mean``.
            cost: ``payload_bytes``, ``tokens`` or ``flops``.
            budget: largest cost of each run.
        """
        found = []
        for run in self.runs.values():
            afford = [i for i, paid in enumerate(run[f"curve.{cost}"]) if paid <= budget]
            # The evaluation before training costs nothing and is not a result of the arm.
            if not afford or (run["curve.round"][afford[-1]] == 0 and run["rounds"]):
                return None
            found.append(run[f"curve.{column}"][afford[-1]])
        return float(np.mean(found))

    def interpolated(self, column: str, cost: str, budget: float) -> float:
        """Return the mean quality at a cost, interpolated linearly between evaluations."""
        return float(
            np.mean(
                [
                    np.interp(budget, run[f"curve.{cost}"], run[f"curve.{column}"])
                    for run in self.runs.values()
                ]
            )
        )

    def curve(self, column: str, cost: str) -> list[tuple[float, float]]:
        """Return (cost, quality) at every evaluated round, both means over seeds."""
        runs = list(self.runs.values())
        costs = np.mean([run[f"curve.{cost}"] for run in runs], axis=0)
        return list(
            zip(costs, np.mean([run[f"curve.{column}"] for run in runs], axis=0), strict=True)
        )


@dataclass(frozen=True)
class Study:
    """All arms of a corpus, under one metric."""

    arms: tuple[Arm, ...]
    metric: str

    @classmethod
    def of(cls, rows: Sequence[Row], metric: str) -> Study:
        """Group the finished rows of a sweep by arm, in the order of the rows."""
        runs: dict[tuple[str, str], dict[int, Row]] = defaultdict(dict)
        for row in rows:
            if row["status"] == FINISHED:
                runs[row["arm"], row["axis.topology"]][row["seed"]] = row
        return cls(tuple(Arm(*key, by_seed) for key, by_seed in runs.items()), metric)

    @property
    def mean(self) -> str:
        """Column of the mean over agents."""
        return f"{self.metric}.mean"

    @property
    def worst(self) -> str:
        """Column of the worst agent."""
        return f"{self.metric}.worst"

    def arm(self, name: str, topology: str = STAR) -> Arm | None:
        """Return an arm, or None if it has no finished run."""
        for arm in self.arms:
            if (arm.name, arm.topology) == (name, topology):
                return arm
        return None

    def untrained(self) -> Arm | None:
        """Return the untrained agents, as an arm: round 0 of the isolated runs."""
        alone = self.arm(ISOLATED)
        if alone is None:
            return None
        columns = (self.mean, self.worst)
        rows = {
            seed: {
                **{column: run[f"curve.{column}"][0] for column in columns},
                **dict.fromkeys(("tokens", "flops", "payload_bytes"), 0),
            }
            for seed, run in alone.runs.items()
        }
        return Arm(UNTRAINED, STAR, rows)

    def closed(self, arm: Arm, base: str = ISOLATED) -> Share | None:
        """Return the share of the gap from a baseline to centralised training that an arm closes."""
        alone, everything = self.arm(base), self.arm(CENTRALISED)
        if alone is None or everything is None:
            return None
        seeds = sorted(arm.runs.keys() & alone.runs.keys() & everything.runs.keys())
        return gap_closed(*(each.values(self.mean, seeds) for each in (arm, alone, everything)))

    def p_against(self, arm: Arm, name: str) -> float | None:
        """Return the uncorrected p of the paired difference from a reference arm; None without one."""
        other = self.arm(name)
        if other is None or other is arm:
            return None
        seeds = sorted(arm.runs.keys() & other.runs.keys())
        return paired_p(arm.values(self.mean, seeds), other.values(self.mean, seeds))
