"""The least makespan of a workload, as a mixed-integer program proves it: the judge of schedulers."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from agentos.tasks.scheduling.workload import Workload


class Program:
    """A mixed-integer linear program, written down row by row."""

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self.rows: list[dict[int, float]] = []
        self.lows: list[float] = []
        self.highs: list[float] = []

    def add(self, row: dict[int, float], low: float, high: float = np.inf) -> None:
        """Add a row of coefficients by variable, and its bounds."""
        self.rows.append(row)
        self.lows.append(low)
        self.highs.append(high)

    def constraints(self) -> LinearConstraint:
        """Return the rows as a sparse matrix."""
        entries = [(r, c, v) for r, row in enumerate(self.rows) for c, v in row.items()]
        at, columns, values = zip(*entries, strict=True)
        matrix = csr_array((values, (at, columns)), shape=(len(self.rows), self.variables))
        return LinearConstraint(matrix, self.lows, self.highs)


def optimum(workload: Workload, bound_s: float, limit_s: float = 60.0) -> float | None:
    """Return the least makespan, or None if the time did not suffice to prove it."""
    program = _Schedule(workload, bound_s)
    program.fill()
    cost = np.zeros(program.variables)
    cost[program.makespan] = 1.0
    seconds = [*program.t, program.makespan]
    binary, high = np.ones(program.variables), np.ones(program.variables)
    binary[seconds] = 0
    high[seconds] = bound_s * (1 + 1e-6)
    high[program.x[~workload.allowed]] = 0.0
    found = milp(
        cost,
        integrality=binary,
        bounds=Bounds(0.0, high),
        constraints=program.constraints(),
        options={"time_limit": limit_s, "mip_rel_gap": 1e-4},
    )
    return float(found.fun) if found.status == 0 else None


class _Schedule(Program):
    """The program of a schedule.

    x[s, a]: subtask s is on agent a. t[s]: its beginning. y[p]: in the pair p of subtasks that do not need
    each other, the first goes before the second where they share an agent. makespan: the last end.
    """

    def __init__(self, workload: Workload, bound_s: float) -> None:
        S, A = workload.seconds.shape
        self.workload, self.bound_s = workload, bound_s
        self.pairs = _unordered_pairs(workload)
        self.x = np.arange(S * A).reshape(S, A)
        self.t = S * A + np.arange(S)
        self.y = S * A + S + np.arange(len(self.pairs))
        self.makespan = S * A + S + len(self.pairs)
        super().__init__(self.makespan + 1)

    def fill(self) -> None:
        """Write down the rows: each subtask once, ends, load of agents, transits, and pairs."""
        seconds, (S, A) = self.workload.seconds, self.workload.seconds.shape
        for s in range(S):
            self.add({self.x[s, a]: 1.0 for a in range(A)}, 1.0, 1.0)
            end = {self.makespan: 1.0, self.t[s]: -1.0}
            self.add(end | {self.x[s, a]: -seconds[s, a] for a in range(A)}, 0.0)
        for a in range(A):
            load = {self.x[s, a]: -seconds[s, a] for s in range(S)}
            self.add({self.makespan: 1.0} | load, 0.0)
        for (i, j), size in self.workload.arrows.items():
            self._add_transit(i, j, self.workload.transit_s[size])
        for p, (i, j) in enumerate(self.pairs):
            self._add_pair(self.y[p], i, j)

    def _after(self, later: int, earlier: int) -> dict[int, float]:
        """t[later] - t[earlier] - seconds of earlier."""
        seconds = self.workload.seconds[earlier]
        return {self.t[later]: 1.0, self.t[earlier]: -1.0} | {
            self.x[earlier, a]: -seconds[a] for a in range(len(seconds))
        }

    def _add_transit(self, i: int, j: int, transit: NDArray[np.float64]) -> None:
        for a in range(len(transit)):
            most = float(transit[a].max())
            row = self._after(j, i) | {self.x[j, b]: -transit[a, b] for b in range(len(transit))}
            row[self.x[i, a]] -= most
            self.add(row, -most)

    def _add_pair(self, first: int, i: int, j: int) -> None:
        bound_s, x = self.bound_s, self.x
        for a in range(x.shape[1]):
            row = self._after(j, i) | {first: -bound_s, x[j, a]: -bound_s}
            row[x[i, a]] -= bound_s
            self.add(row, -3 * bound_s)
            row = self._after(i, j) | {first: bound_s, x[i, a]: -bound_s}
            row[x[j, a]] -= bound_s
            self.add(row, -2 * bound_s)


def _unordered_pairs(workload: Workload) -> list[tuple[int, int]]:
    """Return the pairs of subtasks that neither needs the other, directly or through others."""
    S = len(workload.seconds)
    needs = np.zeros((S, S), dtype=bool)
    for i, j in workload.arrows:
        needs[i, j] = True
    for k in range(S):
        needs |= np.outer(needs[:, k], needs[k])
    return [p for p in itertools.combinations(range(S), 2) if not (needs[p] or needs[p[::-1]])]
