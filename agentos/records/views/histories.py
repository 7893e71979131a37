"""Histories of a run besides its metrics: bytes, health, faults, and simulated time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentos.evaluation.base import Metric
from agentos.records.layout import agent_number
from agentos.records.reader import RunRecord
from agentos.records.views.metric_curves import (
    SIMULATED_S,
    MetricCurve,
    Points,
    TimedCurve,
    metric_curves,
    timed_curve,
)
from agentos.records.views.outcome import total
from protocols.ledger import Ledger

FIRST_ROUNDS = 6
"""Rounds whose edges are listed one by one."""
RANK_SHARE = Metric(
    name="anchor_rank_share",
    higher_is_better=True,
    help="Share of the directions that the embeddings use (by RankMe); at 0, all texts are on one line. A "
    "cross marks a round in which the agent's exchange was paused.",
    label="Rank share on public anchors",
    percent=True,
)


@dataclass(frozen=True)
class Traffic:
    """Bytes and messages.

    Args:
        total, fp32_total: serialised bytes of all deliveries, and what they would be without a codec.
        by_kind, fp32_by_kind: the same by kind of payload.
        by_round: kind of payload -> round -> bytes.
        by_edge: (sender, receiver) -> bytes.
        first_rounds: the edges, as (sender, receiver), of each of the first six rounds with any message.
        until: (round, bytes up to and including it), rounds ascending.
        deliveries: number of deliveries.
        rejected: agent -> (round, messages that it rejected).
        ledger: every delivery; None if the run stopped before it was written.
    """

    total: int
    fp32_total: int
    by_kind: Mapping[str, int]
    fp32_by_kind: Mapping[str, int]
    by_round: Mapping[str, Mapping[int, int]]
    by_edge: Mapping[tuple[int, int], int]
    first_rounds: Mapping[int, frozenset[tuple[int, int]]]
    until: Sequence[tuple[int, int]]
    deliveries: int
    rejected: Mapping[int, Sequence[tuple[int, int]]]
    ledger: Ledger | None = None

    def sent_by(self, round: int) -> int:
        """Return the bytes of all deliveries up to and including a round."""
        before = bisect_right(self.until, round, key=lambda step: step[0])
        return self.until[before - 1][1] if before else 0


@dataclass(frozen=True)
class HealthHistory:
    """The health of the agents as it was monitored.

    Args:
        rank_share: share of the directions that each agent's embeddings use; empty if never recorded.
        paused: agent -> (round, rank share) of the rounds in which its exchange was paused.
        cka: edge -> rounds, and the linear CKA of the two neighbours.
    """

    rank_share: tuple[MetricCurve, ...]
    paused: Mapping[int, Sequence[tuple[int, float]]]
    cka: Mapping[tuple[int, int], Points]


@dataclass(frozen=True)
class SimulatedTime:
    """A run on its simulated clock.

    Args:
        together, alone: metric name -> its curve over simulated seconds.
        waited: share of the agents' time spent waiting for messages; None if not recorded.
        merged, superseded, stale: the fate of messages in a run without barriers.
        rounds_behind: sum over merged messages of how many rounds old they were.
    """

    together: Mapping[str, TimedCurve]
    alone: Mapping[str, TimedCurve]
    waited: float | None
    merged: float
    superseded: float
    stale: float
    rounds_behind: float


def traffic_of(record: RunRecord) -> Traffic:
    """Return the bytes and rejected messages of a record."""
    ledger, by_round = record.ledger, dict[str, dict[int, int]]()
    rows = ledger.rows() if ledger else {"round": [], "kind": [], "payload_bytes": []}
    for round, kind, size in zip(rows["round"], rows["kind"], rows["payload_bytes"], strict=True):
        sums = by_round.setdefault(kind, defaultdict(int))
        sums[round] += size
    rejected: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in record.metrics:
        if row.get("rejected"):
            rejected[agent_number(row["agent"]) or 0].append((row["round"], int(row["rejected"])))
    # A run that was killed has no ledger yet, but its agents counted what they sent.
    sent = 0 if ledger else int(total(record.metrics, "bytes_sent"))
    return Traffic(
        total=ledger.total() if ledger else sent,
        fp32_total=ledger.fp32_total() if ledger else sent,
        by_kind=ledger.by_kind() if ledger else {},
        fp32_by_kind=ledger.fp32_by_kind() if ledger else {},
        by_round=by_round,
        by_edge=ledger.by_edge() if ledger else {},
        first_rounds=_first_rounds(ledger) if ledger else {},
        ledger=ledger,
        until=ledger.cumulative() if ledger else [],
        deliveries=len(rows["round"]),
        rejected=dict(sorted(rejected.items())),
    )


def _first_rounds(ledger: Ledger) -> dict[int, frozenset[tuple[int, int]]]:
    rounds = [round for round, _ in ledger.cumulative()[:FIRST_ROUNDS]]
    return {round: frozenset(ledger.edges_of_round(round)) for round in rounds}


def health_of(record: RunRecord) -> HealthHistory:
    """Return the health of the agents as it was monitored."""
    paused: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for row in record.metrics:
        if row.get("paused"):
            share = row.get(RANK_SHARE.name) or 0.0
            paused[agent_number(row["agent"]) or 0].append((row["round"], share))
    cka: dict[tuple[int, int], Points] = defaultdict(lambda: ([], []))
    for line in record.health:
        for a, b, value in line.get("cka", []):
            if value is not None:
                cka[a, b][0].append(line["round"])
                cka[a, b][1].append(value)
    return HealthHistory(
        metric_curves(record, [RANK_SHARE]), dict(sorted(paused.items())), dict(sorted(cka.items()))
    )


def faults_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, int]]:
    """Return kind of fault, or of the policy's reaction -> round -> count."""
    rounds: dict[str, dict[int, int]] = defaultdict(dict)
    for line in lines:
        for name, count in line["struck"].items():
            rounds[name][line["round"]] = count
    return dict(rounds)


def clock_of(record: RunRecord, metrics: Sequence[Metric]) -> SimulatedTime:
    """Return a run on its simulated clock."""
    rows = record.metrics
    ends: dict[str, float] = {}
    for row in rows:
        ends[row["agent"]] = max(ends.get(row["agent"], 0.0), row.get(SIMULATED_S) or 0.0)
    spent = sum(ends.values())
    timed = spent and any("simulated_wait_s" in row for row in rows)
    return SimulatedTime(
        together={metric.name: timed_curve(rows, metric) for metric in metrics},
        alone={metric.name: timed_curve(record.isolated or [], metric) for metric in metrics},
        waited=total(rows, "simulated_wait_s") / spent if timed else None,
        merged=total(rows, "messages_merged"),
        superseded=total(rows, "messages_superseded"),
        stale=total(rows, "messages_stale"),
        rounds_behind=total(rows, "rounds_behind"),
    )
