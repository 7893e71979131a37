"""The report of a run: one page that opens offline; its first sentence is decided in `verdict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_config import is_joint
from agentos.records.agent_similarity import load_agent_similarity
from agentos.records.atomic_files import reading
from agentos.records.layout import REPORT, TRACE, agent_name
from agentos.records.result import Quality
from agentos.records.views.outcome import Outcome
from agentos.records.views.run_view import RunView, load_view
from agentos.reporting.charts.curves import learning_curves, per_agent
from agentos.reporting.charts.embedding_maps import draw_maps
from agentos.reporting.charts.plotting import LINES, Chart, colour
from agentos.reporting.charts.simulated_time import against_time
from agentos.reporting.charts.spent_bytes import against_bytes, bytes_by_round
from agentos.reporting.page import write_page
from agentos.reporting.panels.explanation_panel import explained_texts
from agentos.reporting.panels.fault_panel import fault_rows, rejected_rows, restart_rows
from agentos.reporting.panels.final_table import final_table
from agentos.reporting.panels.health_panel import health_charts, paused_text
from agentos.reporting.panels.network_panel import network_panel
from agentos.reporting.panels.profile_timeline import timeline_of
from agentos.reporting.panels.tiles import tiles
from agentos.reporting.panels.traffic_panel import (
    delays_text,
    joint_text,
    privacy_text,
    traffic_text,
)
from agentos.reporting.verdict import verdict
from agentos.runtime.profiling.trace_file import load_timeline

Fact = dict[str, str]


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run folder, from its records; return the page's path.

    A run that was interrupted, or is still running, gets a report of the rounds recorded so far.

    Args:
        directory: a folder that `agentos.records.recorder.Recorder` wrote.

    Raises:
        RecordError: the folder is not a run folder, is damaged, or cannot be written to.
    """
    run = load_view(directory)
    with reading(run.directory):
        return _write(run)


def _write(run: RunView) -> Path:
    drawn = _charts(run)
    network = network_panel(
        run.network, run.names, run.traffic.by_edge, run.traffic.first_rounds, _scores(run.outcome)
    )
    drawn["graph"] = network.pop("graph")
    return write_page(
        run.directory / REPORT,
        "report.html.j2",
        charts=[chart for panel in drawn.values() for chart in _flat(panel)],
        run=run,
        subtitle=_subtitle(run),
        verdict=verdict(run.outcome),
        tiles=tiles(run),
        table=final_table(run.outcome, run.names, run.heldout),
        network=network,
        curves_note=_curves_note(run.network.agents, dashed=run.outcome.isolated is not None),
        chips=_chips(run.names),
        paused=paused_text(run.health, run.names),
        traffic_note=_traffic_note(run),
        time_note=delays_text(run.clock),
        rejected=rejected_rows(run.traffic.rejected, run.names),
        faults=fault_rows(run.faults),
        explained=explained_texts(run.directory),
        restarts=restart_rows(run.restarts),
        environment=_environment(run.environment),
        **drawn,
    )


def _charts(run: RunView) -> dict[str, Any]:
    """Return the charts of each panel, by the name that the template gives it."""
    rounds, metrics = run.outcome.rounds, run.outcome.metrics
    evaluated = [curve for curve in run.curves if curve.metric in metrics]
    traffic = bytes_by_round(run.traffic, rounds)
    return {
        "curves": learning_curves(
            [each for each in run.curves if not (each.metric.minor or is_joint(each.metric))],
            run.names,
            rounds,
        ),
        "per_agent": per_agent(run.outcome, run.names),
        "against_bytes": against_bytes(evaluated, run.traffic) if traffic and metrics else None,
        "against_time": against_time(run.clock, metrics) if run.clock and metrics else None,
        "traffic": [traffic] if traffic else [],
        "health": health_charts(run.health, run.names, rounds),
        "maps": draw_maps(load_agent_similarity(run.directory), run.names),
        "times": timeline_of(load_timeline(run.directory / TRACE)),
    }


def _scores(found: Outcome) -> tuple[Metric, dict[str, Quality]] | None:
    """Return the main metric and the arms that measured it; None if nothing was evaluated."""
    arms = {"alone": found.isolated, "together": found.together}
    measured = {name: arm for name, arm in arms.items() if arm is not None and arm.mean}
    return (found.main, measured) if found.main is not None and measured else None


def _flat(panel: Any) -> list[Chart]:
    """Return the charts of a panel: one, several, or those that it holds."""
    if isinstance(panel, Chart):
        return [panel]
    return list(panel if isinstance(panel, list) else getattr(panel, "charts", ()))


def _subtitle(run: RunView) -> str:
    started = str(run.environment.get("started", ""))[:16].replace("T", " ")
    parts = (
        f"{run.network.agents} agents",
        run.topology,
        run.exchange,
        f"started {started} UTC" if started else "",
    )
    return " · ".join(filter(None, parts))


def _traffic_note(run: RunView) -> str:
    """Return sentences on bytes, on what messages show, and on joint embeddings."""
    ledger = run.traffic.ledger
    shown = privacy_text(run.config, ledger, run.network.agents) if ledger else ""
    return " ".join(filter(None, (traffic_text(run.traffic), shown, joint_text(run.outcome.joint))))


def _curves_note(agents: int, *, dashed: bool) -> str:
    alone = " Dashed: the same agents trained alone." if dashed else ""
    if agents > LINES:
        return f"The mean over agents, and the band that holds the middle 80 % of them.{alone}"
    return f"One line per agent.{alone} Click a name to hide or show it."


def _chips(names: Sequence[str]) -> list[Fact]:
    """Return the buttons that show and hide agents; none where they have no lines."""
    return [
        {"key": agent_name(agent), "name": name, "colour": colour(agent)}
        for agent, name in enumerate(names)
        if len(names) <= LINES
    ]


def _environment(recorded: Mapping[str, Any]) -> list[Fact]:
    packages = recorded.get("packages")
    plain = {key: value for key, value in recorded.items() if key != "packages"}
    versions = packages if isinstance(packages, dict) else {}
    return [{"name": name, "value": str(value)} for name, value in {**plain, **versions}.items()]
