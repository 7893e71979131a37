"""The outcome of work whose answers are not class probabilities: ways to answer, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

LEXICAL = "lexical"
_CONFIDENCE = 0.95


class Measure(NamedTuple):
    """A measure of a way to answer.

    Attributes:
        name: in records.
        label: in tables.
        percent: whether it is a share.
    """

    name: str
    label: str
    percent: bool

    def text(self, value: float) -> str:
        """Return a value as text."""
        return f"{value:.1%}" if self.percent else f"{value:,.1f}"


@dataclass(frozen=True)
class Way:
    """One way to answer, as measured on the test items.

    Attributes:
        name: the way, or `LEXICAL`.
        measures: quality, by the names of measures.
        flops, payload_bytes, simulated_s, measured_s: of one query or token; simulated with all asked at
            once, measured on one core.
        asked: agents asked, in the mean.
    """

    name: str
    measures: Mapping[str, float]
    flops: float
    payload_bytes: float
    simulated_s: float
    measured_s: float
    asked: float


class Table(NamedTuple):
    """A table of a report."""

    title: str
    note: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Finished:
    """The outcome of `solve` for a kind of its own.

    Attributes:
        directory: its folder.
        name, kind: of the task.
        chosen: the way that answers from now on.
        ways: every way, the lexical one first.
        measures: what is measured; the first one is what ways are compared by.
        unit: what costs are of, such as ``query``.
        tested: number of test items.
        verdict: one sentence: was one agent enough?
        tables: the agents, and what else is known.
    """

    directory: Path
    name: str
    kind: str
    chosen: str
    ways: tuple[Way, ...]
    measures: tuple[Measure, ...]
    unit: str
    tested: int
    verdict: str
    tables: tuple[Table, ...]

    def way(self, name: str) -> Way | None:
        """Return a way; None if faults left it without an answer."""
        return next((way for way in self.ways if way.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """Return what ``results.json`` holds."""
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "chosen": self.chosen,
            "tested": self.tested,
            "lines": [asdict(way) for way in self.ways],
            "tables": [table._asdict() for table in self.tables],
        }


def beats(values: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether values are higher than others, item by item, beyond doubt: a one-sided paired t-test.

    Example:
        >>> beats(np.array([0.9, 0.8, 0.9, 0.7]), np.array([0.5, 0.5, 0.4, 0.4]))
        True
    """
    difference = values - others
    if len(difference) < 2:
        return False
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() > student.ppf(_CONFIDENCE, len(difference) - 1) * error)


def parts_of(groups: NDArray[np.int64], share: float, rng: np.random.Generator) -> Split:
    """Divide items into those that choices are made on and those that results are reported on.

    Args:
        groups: `[N]`, equal numbers for items that stay together, such as near duplicates.
        share: of the items that choices are made on.
        rng: draws them.
    """
    wanted, taken = share * len(groups), list[int]()
    for group in rng.permutation(np.unique(groups)):
        if len(taken) >= wanted:
            break
        taken += np.flatnonzero(groups == group).tolist()
    calibrate = np.sort(np.array(taken, dtype=np.int64))
    return Split(calibrate, np.setdiff1d(np.arange(len(groups)), calibrate))


class Split(NamedTuple):
    """Places of the items that choices are made on, and of those that results are reported on."""

    calibrate: NDArray[np.int64]
    test: NDArray[np.int64]


def agents_table(headings: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> Table:
    """Return the table of agents."""
    return Table("Agents", note, tuple(headings), tuple(tuple(row) for row in rows))
