"""The study of exchanges as Markdown: a table for each topology, and one at equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentos.reporting.statistics import Interval, Share, holm
from agentos.reporting.units import ABSENT, bytes_text, count_text
from experiments.studies.exchange_results import (
    ALONE,
    ANCHORS,
    DILOCO,
    FEDAVG,
    ISOLATED,
    Arm,
    Study,
)

BUDGETS = (1000, 100, 10, 1)
"""Budgets of the last table, as divisors of DiLoCo's bytes."""

_HEAD = (
    *("arm", "mean agent", "worst agent", "gap closed", "of the gap over anchors as text"),
    *("bytes", "DiLoCo's bytes over these", "tokens", "FLOPs", "at equal FLOPs"),
    *("p, DiLoCo", "p, FedAvg"),
)


def tables(study: Study) -> str:
    """Return a table of the arms without exchange, one for each topology, and one at equal bytes."""
    topologies = dict.fromkeys(arm.topology for arm in study.arms if arm.name not in ALONE)
    parts = [f"### No exchange\n\n{_table(study, _alone(study))}"]
    for topology in topologies:
        arms = [a for a in study.arms if a.topology == topology and a.name not in ALONE]
        parts.append(f"### {topology.replace('_', '-')}\n\n{_table(study, arms)}")
    parts.append(f"### Mean agent at equal bytes\n\n{_equal_bytes(study)}")
    return "\n\n".join(parts)


def verdict(study: Study) -> str:
    """Return a sentence on the best arm that sends no weights and few bytes, compared with DiLoCo."""
    diloco = study.arm(DILOCO)
    if diloco is None or (whole := study.closed(diloco)) is None:
        return "There is no DiLoCo to compare with."
    exchanging = [a for a in study.arms if a.name not in ALONE and not _exchanges_weights(a)]
    cheap = [a for a in exchanging if 100 * a.mean("payload_bytes") <= diloco.mean("payload_bytes")]
    if not cheap:
        return "No arm without weights sends a hundredth of DiLoCo's bytes or less."
    best = max(cheap, key=lambda arm: arm.mean(study.mean))
    closed = study.closed(best)
    assert closed is not None
    ratio = diloco.mean("payload_bytes") / best.mean("payload_bytes")
    part = f"{closed.value / whole.value:.0%} of what DiLoCo closes, " if whole.value > 0 else ""
    return (
        f"DiLoCo closes {_share(whole)} of the gap. Of the arms that send no weights and at most a hundredth "
        f"of its bytes, {best.name} ({best.topology}) is best: it closes {_share(closed)}, {part}at "
        f"1/{ratio:,.0f} of its bytes."
    )


def _exchanges_weights(arm: Arm) -> bool:
    return arm.name.startswith((FEDAVG, DILOCO, "hybrid"))


def _alone(study: Study) -> list[Arm]:
    untrained = study.untrained()
    alone = [arm for arm in study.arms if arm.name in ALONE]
    return alone if untrained is None else [untrained, *alone]


def _table(study: Study, arms: Sequence[Arm]) -> str:
    exchanging = [arm for arm in arms if arm.mean("payload_bytes")]
    # One family of tests per table: every arm against both references.
    pairs = [(arm.name, reference) for arm in exchanging for reference in (DILOCO, FEDAVG)]
    raw = {
        pair: p
        for pair, arm in zip(pairs, (a for a in exchanging for _ in range(2)), strict=True)
        if (p := study.p_against(arm, pair[1])) is not None
    }
    p_values = dict(zip(raw, holm(list(raw.values())), strict=True))
    rows = [
        [*_cells(study, arm), *(_p(p_values.get((arm.name, r))) for r in (DILOCO, FEDAVG))]
        for arm in arms
    ]
    return markdown(_HEAD, rows)


def _cells(study: Study, arm: Arm) -> list[str]:
    diloco, alone = study.arm(DILOCO), study.arm(ISOLATED)
    sent = arm.mean("payload_bytes")
    fewer = f"{diloco.mean('payload_bytes') / sent:,.1f}" if diloco and sent else ABSENT
    trained = arm.mean("flops") > 0
    equal = (
        arm.interpolated(study.mean, "flops", alone.mean("flops")) if alone and trained else None
    )
    return [
        arm.name,
        _interval(arm.interval(study.mean)),
        _interval(arm.interval(study.worst)),
        _share(study.closed(arm)),
        _share(study.closed(arm, ANCHORS)),
        bytes_text(sent) if sent else "0",
        fewer,
        count_text(arm.mean("tokens")),
        f"{arm.mean('flops'):.2e}",
        ABSENT if equal is None else f"{equal:.3f}",
    ]


def _equal_bytes(study: Study) -> str:
    diloco = study.arm(DILOCO)
    if diloco is None:
        return "There is no DiLoCo to take the budgets from."
    whole = diloco.mean("payload_bytes")
    head = ["arm", "topology", *(f"{bytes_text(whole / part)} (1/{part:,})" for part in BUDGETS)]
    rows = []
    for arm in study.arms:
        if arm.name not in ALONE:
            values = [arm.at(study.mean, "payload_bytes", whole / part) for part in BUDGETS]
            shown = [ABSENT if value is None else f"{value:.3f}" for value in values]
            rows.append([arm.name, arm.topology.replace("_", "-"), *shown])
    return markdown(head, rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(value: Interval) -> str:
    return f"{value.mean:.3f} ± {value.half_width:.3f}"


def _share(share: Share | None) -> str:
    if share is None:
        return ABSENT
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _p(p_value: float | None) -> str:
    return ABSENT if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"
