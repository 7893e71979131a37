"""The least makespan of a workload, as a mixed-integer program proves it: the judge of schedulers."""

from __future__ import annotations

import itertools

import numpy as np
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
    """Return the least makespan, or None if the time did not suffice to prove it.

    x[s, a]: subtask s is on agent a. t[s]: its beginning. y[p]: of the pair p of subtasks that neither needs
    the other, the first goes before the second, where they share an agent. T: the makespan.
    """
    S, A = workload.seconds.shape
    needs = np.zeros((S, S), dtype=bool)
    for i, j in workload.arrows:
        needs[i, j] = True
    for k in range(S):
        needs |= np.outer(needs[:, k], needs[k])
    pairs = [p for p in itertools.combinations(range(S), 2) if not (needs[p] or needs[p[::-1]])]
    x = np.arange(S * A).reshape(S, A)
    t = S * A + np.arange(S)
    y = S * A + S + np.arange(len(pairs))
    makespan = S * A + S + len(pairs)
    program = Program(makespan + 1)

    def after(later: int, earlier: int) -> dict[int, float]:
        """t[later] - t[earlier] - seconds of earlier."""
        return {t[later]: 1.0, t[earlier]: -1.0} | {
            x[earlier, a]: -workload.seconds[earlier, a] for a in range(A)
        }

    for s in range(S):
        program.add({x[s, a]: 1.0 for a in range(A)}, 1.0, 1.0)
        end = {makespan: 1.0, t[s]: -1.0} | {x[s, a]: -workload.seconds[s, a] for a in range(A)}
        program.add(end, 0.0)
    for a in range(A):
        program.add({makespan: 1.0} | {x[s, a]: -workload.seconds[s, a] for s in range(S)}, 0.0)
    for (i, j), size in workload.arrows.items():
        transit = workload.transit_s[size]
        for a in range(A):
            most = float(transit[a].max())
            row = after(j, i) | {x[j, b]: -transit[a, b] for b in range(A)}
            row[x[i, a]] -= most
            program.add(row, -most)
    for p, (i, j) in enumerate(pairs):
        for a in range(A):
            row = after(j, i) | {y[p]: -bound_s, x[j, a]: -bound_s}
            row[x[i, a]] -= bound_s
            program.add(row, -3 * bound_s)
            row = after(i, j) | {y[p]: bound_s, x[i, a]: -bound_s}
            row[x[j, a]] -= bound_s
            program.add(row, -2 * bound_s)

    cost = np.zeros(makespan + 1)
    cost[makespan] = 1.0
    binary = np.ones(makespan + 1)
    binary[t] = binary[makespan] = 0
    high = np.ones(makespan + 1)
    high[t] = high[makespan] = bound_s * (1 + 1e-6)
    high[x[~workload.allowed]] = 0.0
    found = milp(
        cost,
        integrality=binary,
        bounds=Bounds(0.0, high),
        constraints=program.constraints(),
        options={"time_limit": limit_s, "mip_rel_gap": 1e-4},
    )
    return float(found.fun) if found.status == 0 else None
