"""The tiles of a report: key figures of the run at a glance."""

from __future__ import annotations

from agentos.records.views.run_view import RunView
from agentos.reporting.units import (
    ABSENT,
    bytes_text,
    count_text,
    phases_text,
    saved_text,
    seconds_text,
)

Tile = dict[str, str]


def tiles(run: RunView) -> list[Tile]:
    """Return the tiles of a run, each with a name, a value and a note."""
    result, traffic, network = run.outcome, run.traffic, run.network
    per_agent = traffic.total / max(1, network.agents * result.rounds)
    edges = f"{network.edge_count:,} edge{'s' * (network.edge_count != 1)}"
    family = network.family.replace("_", "–")
    refused = sum(count for found in traffic.rejected.values() for _, count in found)
    return [
        _tile("Agents", count_text(network.agents), f"seed {run.seed}"),
        _tile("Topology", _breakable(run.topology), f"{family}, {edges}"),
        _tile("Exchange", _breakable(run.exchange), _codec(run)),
        _tile("Rounds", count_text(result.rounds), _steps(run)),
        _tile("Tokens trained on", count_text(result.tokens), "by all agents together"),
        _tile(
            "Bytes exchanged",
            bytes_text(traffic.total),
            f"{bytes_text(per_agent)} per agent and round",
        ),
        *_saving(run),
        *_joint(run),
        _tile(
            "Deliveries",
            count_text(traffic.deliveries),
            f"{count_text(refused)} rejected" if refused else "none rejected",
        ),
        _tile(
            "Wall time",
            ABSENT if result.wall_s is None else seconds_text(result.wall_s),
            _waiting(run),
        ),
        *_phases(run),
        *_simulated(run),
    ]


def _tile(name: str, value: str, note: str) -> Tile:
    return {"name": name, "value": value, "note": note}


def _breakable(kind: str) -> str:
    """Let a long name wrap after its underscores."""
    return kind.replace("_", "_\N{ZERO WIDTH SPACE}")


def _codec(run: RunView) -> str:
    return f"codec {run.codec}" if run.codec else ""


def _steps(run: RunView) -> str:
    result = run.outcome
    if result.planned_rounds is not None and result.rounds < result.planned_rounds:
        return f"of {result.planned_rounds:,} configured"
    return f"{count_text(result.steps)} optimizer steps per agent" if result.steps else ""


def _saving(run: RunView) -> list[Tile]:
    """Return what codecs saved; nothing if no codec was used."""
    sent, fp32 = run.traffic.total, run.traffic.fp32_total
    if fp32 == sent:
        return []
    return [_tile("Saved by codec", saved_text(sent, fp32), f"{bytes_text(fp32)} as fp32")]


def _joint(run: RunView) -> list[Tile]:
    """Return the cost of a joint embedding; nothing for a run without any."""
    cost = run.outcome.joint
    if cost is None:
        return []
    note = f"per text, to {cost.asked:.3g} agents and back; {count_text(cost.flops_per_text)} FLOPs"
    return [_tile("Joint embedding", bytes_text(cost.bytes_per_text), note)]


def _waiting(run: RunView) -> str:
    if not run.outcome.wall_s:
        return "not recorded"
    share = run.outcome.waited_for_views
    if share is None:
        return "including evaluation"
    return f"{share:.1%} of training time spent waiting for views"


def _phases(run: RunView) -> list[Tile]:
    """Return what the longest phase took, and the others in the note; nothing if it was not recorded."""
    longest, _, others = phases_text(run.outcome.phase_s).partition(", ")
    return [_tile("Longest phase", longest, others)] if longest else []


def _simulated(run: RunView) -> list[Tile]:
    """Return the simulated time; nothing for a run without a clock."""
    if run.clock is None or run.outcome.simulated_s is None:
        return []
    waited = run.clock.waited
    note = "without waiting" if waited is None else f"agents waited {waited:.1%} of it for messages"
    return [_tile("Simulated time", seconds_text(run.outcome.simulated_s), note)]
