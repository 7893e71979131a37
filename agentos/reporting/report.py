"""The report: one page that says what a run came to; it opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentos.records.agent_similarity import load_agent_similarity
from agentos.records.reader import TRACE, RunRecord, load_run
from agentos.reporting.charts.curves import (
    CROWD,
    against_bytes,
    bytes_by_round,
    learning_curve,
    per_agent,
)
from agentos.reporting.charts.embedding_maps import draw_maps
from agentos.reporting.charts.plotting import Chart, colour
from agentos.reporting.charts.series import agent_number, unique
from agentos.reporting.charts.simulated_time import against_time, delays_text, waited
from agentos.reporting.outcome import Outcome, outcome
from agentos.reporting.page import data_uri, write_page
from agentos.reporting.panels.fault_panel import fault_rows, restart_rows
from agentos.reporting.panels.final_table import final_table
from agentos.reporting.panels.health_panel import health_charts, paused_rounds
from agentos.reporting.panels.profile_timeline import timeline_of
from agentos.reporting.units import ABSENT, bytes_text, count_text, saved_text, seconds_text
from agentos.reporting.verdict import verdict
from agentos.runtime.profiling.trace_file import load_timeline

REPORT = "report.html"

Fact = dict[str, str]


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run folder, from what it holds; return the page's path.

    A run that was interrupted, or is still under way, gets a report of what there is.

    Args:
        directory: a folder that `agentos.records.recorder.Recorder` wrote.

    Raises:
        RecordError: the folder is no run folder, is damaged, or cannot be written to.
    """
    record = load_run(directory)
    result = outcome(record)
    curves = _curves(record, result)
    maps = draw_maps(load_agent_similarity(record.directory), unique(record.names))
    traffic = [chart for chart in [bytes_by_round(record)] if chart]
    spent = against_bytes(record, result) if traffic and result.metrics else None
    timed = against_time(record, result)
    each = per_agent(record, result, result.main) if result.main else None
    rounds = _of(record.config, "training", "rounds")
    health = health_charts(record)
    times = timeline_of(load_timeline(record.directory / TRACE))
    return write_page(
        record.directory / REPORT,
        "report.html.j2",
        charts=[
            c
            for c in (*curves, *health, *traffic, *maps.charts, spent, timed, times.chart, each)
            if c
        ],
        name=str(record.config.get("name") or record.directory.name),
        status=result.status,
        subtitle=_subtitle(record),
        verdict=verdict(result, rounds if isinstance(rounds, int) else None),
        tiles=_tiles(record, result),
        table=final_table(record, result),
        per_agent=each,
        network=_network(record),
        curves=curves,
        curves_note=_curves_note(record),
        chips=_chips(record),
        isolated=record.isolated is not None,
        maps=maps,
        traffic=traffic,
        against_bytes=spent,
        against_time=timed,
        time_note=delays_text(record.metrics),
        health=health,
        paused=_paused(record),
        times=times,
        traffic_note=_traffic_note(result),
        rejected=_rejected(record),
        faults=fault_rows(record),
        restarts=restart_rows(record),
        config_text=record.config_text,
        environment=_environment(record),
    )


def kind_of(record: RunRecord, part: str) -> str:
    """Return the kind of a part of the configuration, such as ``topology``; "custom" if unnamed."""
    value = record.config.get(part)
    kind = value.get("kind") if isinstance(value, dict) else value
    return str(kind or "custom")


def _subtitle(record: RunRecord) -> str:
    started = str(record.environment.get("started", ""))[:16].replace("T", " ")
    parts = (
        f"{record.network.agents} agents",
        kind_of(record, "topology"),
        kind_of(record, "exchange"),
        f"started {started} UTC" if started else "",
    )
    return " · ".join(filter(None, parts))


def _tiles(record: RunRecord, result: Outcome) -> list[Fact]:
    agents, rounds = record.network.agents, result.rounds
    share = result.payload_bytes / max(1, agents * rounds)
    family = record.network.family.replace("_", "–")
    steps = f"{count_text(result.steps)} optimizer steps per agent" if result.steps else ""
    planned = _of(record.config, "training", "rounds")
    if isinstance(planned, int) and rounds < planned:
        steps = f"of {planned:,} that were asked for"
    messages = len(record.ledger.rows()["round"]) if record.ledger else 0
    refused = f"{count_text(result.rejected)} rejected" if result.rejected else "none rejected"
    wall = seconds_text(result.wall_s) if result.wall_s is not None else ABSENT
    return [
        _tile("Agents", count_text(agents), f"seed {record.config.get('seed', 0)}"),
        _tile("Topology", _breakable(kind_of(record, "topology")), f"{family}, {_edges(record)}"),
        _tile("Exchange", _breakable(kind_of(record, "exchange")), "what agents send and learn"),
        _tile("Rounds", count_text(rounds), steps),
        _tile("Tokens trained", count_text(result.tokens), "by all agents together"),
        _tile(
            "Bytes exchanged",
            bytes_text(result.payload_bytes),
            f"{bytes_text(share)} per agent and round",
        ),
        *_saving(record, result),
        _tile("Deliveries", count_text(messages), refused),
        _tile("Wall time", wall, _waiting(record) if result.wall_s else "not recorded"),
        *_simulated(record, result),
    ]


def _saving(record: RunRecord, result: Outcome) -> list[Fact]:
    """Say what codecs saved; nothing where none was at work."""
    if result.fp32_bytes == result.payload_bytes:
        return []
    share = saved_text(result.payload_bytes, result.fp32_bytes)
    codec = _of(record.config, "exchange", "codec", "kind") or "codecs"
    return [_tile("Saved by codec", share, f"{codec}; {bytes_text(result.fp32_bytes)} as fp32")]


def _simulated(record: RunRecord, result: Outcome) -> list[Fact]:
    """Say how long it would have taken elsewhere; nothing without a clock."""
    if result.simulated_s is None:
        return []
    share = waited(record.metrics)
    note = "nobody waited" if share is None else f"agents waited {share:.1%} of it for messages"
    return [_tile("Simulated time", seconds_text(result.simulated_s), note)]


def _waiting(record: RunRecord) -> str:
    """Say how long training waited for the views that background threads make."""
    rows = [row for row in record.metrics if row.get("train_s")]
    if not any("wait_s" in row for row in rows):
        return "evaluation included"
    share = sum(row.get("wait_s", 0.0) for row in rows) / sum(row["train_s"] for row in rows)
    return f"training waited {share:.1%} of its time for views"


def _breakable(kind: str) -> str:
    """Let a long name wrap after its underscores."""
    return kind.replace("_", "_\N{ZERO WIDTH SPACE}")


def _tile(name: str, value: str, note: str) -> Fact:
    return {"name": name, "value": value, "note": note}


def _edges(record: RunRecord) -> str:
    count = len(record.network.edges)
    return f"{count:,} edge" + ("" if count == 1 else "s")


def _network(record: RunRecord) -> dict[str, Any]:
    from agentos.reporting.network.draw import draw_network
    from agentos.reporting.pictures import to_svg

    network = record.network
    sent = record.ledger.by_edge() if record.ledger else {}
    names = unique(record.names) if network.agents <= CROWD else None
    figure = draw_network(network, names=names, bytes_by_edge=sent or None)
    roles = {role: network.roles.count(role) for role in dict.fromkeys(network.roles)}
    facts = [("Family", network.family.replace("_", "–")), ("Edges", f"{len(network.edges):,}")]
    facts += [(f"Role: {role}", f"{count:,}") for role, count in roles.items()]
    if max(network.levels) > 0:
        facts.append(("Levels", str(max(network.levels) + 1)))
    if network.diameter is not None:
        facts.append(("Diameter", str(network.diameter)))
    facts.append(("Most neighbours", str(network.max_degree)))
    if sent:
        (sender, receiver), most = max(sent.items(), key=lambda item: item[1])
        facts.append(("Busiest way", f"{record.names[sender]} → {record.names[receiver]}"))
        facts.append(("It carried", bytes_text(most)))
    return {
        "picture": data_uri(to_svg(figure)),
        "alt": f"{network.agents} agents and the {_edges(record)} between them",
        "caption": "Who could talk to whom"
        + (", and the bytes that each edge carried, both ways together." if sent else "."),
        "facts": [{"name": name, "value": value} for name, value in facts],
    }


def _curves(record: RunRecord, result: Outcome) -> list[Chart]:
    charts = [
        learning_curve(record, metric.name, metric.title, metric.help, metric.percent)
        for metric in result.metrics
        if not metric.minor
    ]
    if any(row.get("loss") is not None for row in record.metrics):
        help = "Mean training loss of each round; arms with unlike losses do not compare."
        charts.insert(0, learning_curve(record, "loss", "Training loss", help, False))
    return charts


def _curves_note(record: RunRecord) -> str:
    dashed = " Dashed: the same agents trained alone." if record.isolated is not None else ""
    if record.network.agents > CROWD:
        return f"The mean over agents, and the band that holds the middle 80 % of them.{dashed}"
    return f"One line per agent.{dashed} Click a name to hide or show it."


def _chips(record: RunRecord) -> list[Fact]:
    if record.network.agents > CROWD:
        return []
    return [
        {"key": f"agent-{i}", "name": name, "colour": colour(i, record.network.agents)}
        for i, name in enumerate(unique(record.names))
    ]


def _traffic_note(result: Outcome) -> str:
    if not result.payload_bytes:
        return "No byte crossed an edge in this run."
    kinds = sorted(result.bytes_by_kind.items(), key=lambda item: -item[1])
    listed = ", ".join(_by_kind(kind, size, result.fp32_by_kind[kind]) for kind, size in kinds)
    return f"{bytes_text(result.payload_bytes)} in all" + (f": {listed}." if listed else ".")


def _by_kind(kind: str, size: int, fp32: int) -> str:
    without = f" ({bytes_text(fp32)} as fp32)" if fp32 != size else ""
    return f"{kind} {bytes_text(size)}{without}"


def _rejected(record: RunRecord) -> list[Fact]:
    """Return the receivers that refused messages: how many, and since when."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row in record.metrics:
        if row.get("rejected"):
            found.setdefault(row["agent"], []).append((row["round"], int(row["rejected"])))
    names = {f"agent-{i}": name for i, name in enumerate(record.names)}
    return [
        {
            "name": names.get(agent, agent),
            "count": f"{sum(count for _, count in refused):,}",
            "first": str(min(round for round, _ in refused)),
        }
        for agent, refused in sorted(found.items(), key=lambda item: agent_number(item[0]))
    ]


def _paused(record: RunRecord) -> str:
    """Say whose exchange was paused."""
    names = {f"agent-{i}": name for i, name in enumerate(unique(record.names))}
    told = [f"{names[agent]} in {count:,}" for agent, count in paused_rounds(record).items()]
    return f"Paused rounds: {', '.join(told)}." if told else "Nobody's exchange was paused."


def _environment(record: RunRecord) -> list[Fact]:
    packages = record.environment.get("packages")
    plain = {key: value for key, value in record.environment.items() if key != "packages"}
    versions = packages if isinstance(packages, dict) else {}
    return [{"name": name, "value": str(value)} for name, value in {**plain, **versions}.items()]


def _of(config: dict[str, Any], *path: str) -> Any:
    """Return a value deep in a configuration, or None."""
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
