"""Lines of a table: one way to train or to answer each, compared with a reference under the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from agentos.reporting.statistics import Interval, holm, interval, paired_p
from agentos.reporting.units import ABSENT, bytes_text, count_text
from agentos.sweep.rows import FINISHED, Row
from experiments.studies.exchange_tables import markdown

ASKED = "asked"
SIGNIFICANT = 0.05
Costs = Mapping[str, float | None]
"""Means over seeds; None where a cost does not exist, such as the operations of a lexical model."""

_HEAD = ("mean agent", "worst agent", "gain", "p", "bytes", "tokens", "FLOPs")
_ASKED = ("bytes per text asked", "FLOPs per text")


@dataclass(frozen=True)
class Line:
    """Quality by seed, and what it costs.

    Attributes:
        name: name in tables and charts.
        mean, worst: mean and worst agent by seed.
        costs: in training, ``payload_bytes``, ``tokens`` and ``flops`` of all agents; for a text that one
            agent answers, ``bytes_per_text`` and ``flops_per_text``.
    """

    name: str
    mean: Mapping[int, float]
    worst: Mapping[int, float]
    costs: Costs

    @classmethod
    def of(cls, rows: Sequence[Row], metric: str, arm: str, **axes: str) -> Line | None:
        """Return the line of an arm at some values of the axes; None if it has no finished run.

        Args:
            rows: rows of a sweep.
            metric: such as ``probe_accuracy``.
            arm: name of an arm; followed by ``, asked``, the agents answer together.
            axes: name of the value on each axis.
        """
        name, _, asked = arm.partition(", ")
        column = f"joint_{metric}" if asked == ASKED else metric
        found = [
            row
            for row in rows
            if row["status"] == FINISHED
            and row["arm"] == name
            and all(row[f"axis.{axis}"] == value for axis, value in axes.items())
            and row.get(f"{column}.mean") is not None
        ]
        if not found:
            return None
        return cls(
            arm,
            {row["seed"]: float(row[f"{column}.mean"]) for row in found},
            {row["seed"]: float(row[f"{column}.worst"]) for row in found},
            _costs(found, asked == ASKED),
        )

    def gain(self, reference: Line) -> tuple[Interval, float] | None:
        """Return the paired gain of the mean agent, and its uncorrected p; None without a common seed."""
        seeds = sorted(self.mean.keys() & reference.mean.keys())
        if not seeds:
            return None
        mine, others = ([line.mean[seed] for seed in seeds] for line in (self, reference))
        return interval(np.subtract(mine, others).tolist()), paired_p(mine, others)


@dataclass(frozen=True)
class Claim:
    """A sentence that was written before the runs: one line is better than another."""

    text: str
    better: str
    worse: str


Pair = tuple[str, Line, Line | None]
"""A group of lines (a cell), a line, and its reference; None for the reference itself."""


def table(pairs: Sequence[Pair]) -> str:
    """Return a Markdown table; its comparisons of two seeds or more are one family for Holm's correction."""
    found = [None if reference is None else line.gain(reference) for _, line, reference in pairs]
    tested = [i for i, each in enumerate(found) if each and isfinite(each[0].half_width)]
    corrected = dict(zip(tested, holm([found[i][1] for i in tested]), strict=True))  # type: ignore[index]
    groups = len({group for group, _, _ in pairs}) > 1
    asked = any(line.costs.get("bytes_per_text") for _, line, _ in pairs)
    rows = []
    for i, (group, line, _) in enumerate(pairs):
        gained = found[i]
        cells = [
            *([group] if groups else []),
            line.name,
            interval_text(interval(list(line.mean.values()))),
            interval_text(interval(list(line.worst.values()))),
            ABSENT if gained is None else interval_text(gained[0], "+.3f"),
            p_text(corrected.get(i)),
            *(_cost(line.costs, name) for name in ("payload_bytes", "tokens", "flops")),
            *(_cost(line.costs, name) for name in ("bytes_per_text", "flops_per_text") if asked),
        ]
        rows.append(cells)
    return markdown(
        (*(["cell"] if groups else []), "arm", *_HEAD, *(_ASKED if asked else ())), rows
    )


def claims_table(claims: Sequence[Claim], lines: Sequence[Line]) -> str:
    """Return what became of the claims, empty if none has two seeds; they are one family for Holm."""
    known = {line.name: line for line in lines}
    found = []
    for claim in claims:
        if claim.better in known and claim.worse in known:
            gained = known[claim.better].gain(known[claim.worse])
            if gained is not None and isfinite(gained[0].half_width):
                found.append((claim, *gained))
    rows = []
    for (claim, gain, _), p_value in zip(found, holm([p for *_, p in found]), strict=True):
        sure = p_value < SIGNIFICANT
        outcome = "open" if not sure else "holds" if gain.mean > 0 else "the opposite holds"
        compared = f"{claim.better} − {claim.worse}"
        rows.append([claim.text, compared, interval_text(gain, "+.3f"), p_text(p_value), outcome])
    return markdown(("claim", "compared", "gain", "p", "outcome"), rows) if rows else ""


def interval_text(value: Interval, form: str = ".3f") -> str:
    """Return a mean and the half-width of its interval."""
    half = f"{value.half_width:.3f}" if np.isfinite(value.half_width) else ABSENT
    return f"{value.mean:{form}} ± {half}"


def p_text(p_value: float | None) -> str:
    """Return a p value to three places."""
    return ABSENT if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _costs(rows: Sequence[Row], asked: bool) -> dict[str, float | None]:
    costs = {name: _mean(rows, name) for name in ("payload_bytes", "tokens", "flops")}
    # Without operations: the runs of a version that did not count those of votes.
    agents, flops = _mean(rows, "joint_asked"), _mean(rows, "joint_flops_per_text") or None
    if asked:
        return {
            **costs,
            "bytes_per_text": _mean(rows, "joint_bytes_per_text"),
            "flops_per_text": flops,
        }
    # All agents read a text as the same tokens, so one of them needs its share of what all need.
    alone = None if agents is None or flops is None else flops / (agents + 1)
    return {**costs, "bytes_per_text": None if agents is None else 0.0, "flops_per_text": alone}


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else None


def _cost(costs: Costs, name: str) -> str:
    value = costs.get(name)
    if value is None:
        return ABSENT
    if "bytes" in name:
        return bytes_text(value) if value else "0"
    return count_text(value) if name == "tokens" else f"{value:.2e}"
