"""Sentences of a report about bytes and messages."""

from __future__ import annotations

from agentos.records.views.histories import SimulatedTime, Traffic
from agentos.reporting.units import bytes_text, count_text


def traffic_text(traffic: Traffic) -> str:
    """Return a sentence on the bytes of each kind of payload."""
    if not traffic.total:
        return "The agents exchanged nothing in this run."
    kinds = sorted(traffic.by_kind.items(), key=lambda item: -item[1])
    listed = ", ".join(_by_kind(kind, size, traffic.fp32_by_kind[kind]) for kind, size in kinds)
    return f"{bytes_text(traffic.total)} in all" + (f": {listed}." if listed else ".")


def delays_text(clock: SimulatedTime | None) -> str:
    """Return a sentence on the fate of messages; empty for a run in which agents wait for each other."""
    if clock is None or not clock.merged:
        return ""
    return (
        f"Of the messages that arrived, {count_text(clock.merged)} were merged, on average "
        f"{clock.rounds_behind / clock.merged:.1f} rounds behind their receiver; "
        f"{count_text(clock.superseded)} were superseded by a later one from the same sender, and "
        f"{count_text(clock.stale)} were too old."
    )


def _by_kind(kind: str, size: int, fp32: int) -> str:
    without = f" ({bytes_text(fp32)} as fp32)" if fp32 != size else ""
    return f"{kind} {bytes_text(size)}{without}"
