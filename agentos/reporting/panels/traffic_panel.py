"""Sentences of a report about bytes and messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from agentos.evaluation.joint.joint_plan import JointCost
from agentos.records.views.histories import SimulatedTime, Traffic
from agentos.reporting.units import bytes_text, count_text
from agents.exchange import EXCHANGES, Exchange
from agents.exchange.accountant import statement
from protocols.ledger import Ledger
from protocols.spec import Kinds

_EXCHANGE: TypeAdapter[Exchange] = TypeAdapter(Annotated[Exchange, Kinds(EXCHANGES)])


def traffic_text(traffic: Traffic) -> str:
    """Return a sentence on the bytes of each kind of payload."""
    if not traffic.total:
        return "The agents exchanged nothing in this run."
    kinds = sorted(traffic.by_kind.items(), key=lambda item: -item[1])
    listed = ", ".join(_by_kind(kind, size, traffic.fp32_by_kind[kind]) for kind, size in kinds)
    return f"{bytes_text(traffic.total)} in all" + (f": {listed}." if listed else ".")


def joint_text(cost: JointCost | None) -> str:
    """Return a sentence on the cost of joint embeddings; empty for a run without any.

    Example:
        >>> cost = JointCost(agents=2, asked=1, texts=10, query_bytes=4000, answer_bytes=2000, flops=80)
        >>> joint_text(cost)[:86]
        'Joint embeddings are apart from this: a text costs 300 B (the text to 1 agent, 200 B; '
    """
    if cost is None:
        return ""
    queries = max(1, cost.agents * cost.texts)
    asked = f"{cost.asked:.3g} agent{'s' * (cost.asked != 1)}"
    return (
        f"Joint embeddings are apart from this: a text costs {bytes_text(cost.bytes_per_text)} (the text to "
        f"{asked}, {bytes_text(cost.query_bytes / queries)}; their embeddings back, "
        f"{bytes_text(cost.answer_bytes / queries)}) and {count_text(cost.flops_per_text)} FLOPs; the "
        f"evaluation asked about {cost.texts:,} texts, with {bytes_text(cost.total_bytes)} and "
        f"{count_text(cost.flops)} FLOPs for {cost.agents:,} asking agent{'s' * (cost.agents != 1)}."
    )


def privacy_text(config: Mapping[str, Any], ledger: Ledger, agents: int) -> str:
    """Return a sentence on what messages show, and one on privacy; empty for an exchange from elsewhere."""
    try:
        exchange = _EXCHANGE.validate_python(config.get("exchange"))
    except ValidationError:
        return ""
    said = statement(exchange, ledger, agents)
    return f"{said[0].upper()}{said[1:]}."


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
