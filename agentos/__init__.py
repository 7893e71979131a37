"""Running a society of agents: data, runtimes, rounds, evaluation, records and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentos.config.run import RunConfig as RunConfig
    from agentos.records.result import Result as Result
    from agentos.records.views.run_tables import load_run as load_run
    from agentos.records.views.run_tables import load_runs as load_runs
    from agentos.simulation.simulation import Simulation as Simulation
    from agentos.tasks.config import Task as Task
    from agentos.tasks.society.open_society import Society as Society
    from agentos.tasks.solving.solve_any import solve as solve

_EXPORTS = {
    "RunConfig": "agentos.config.run",
    "Result": "agentos.records.result",
    "Simulation": "agentos.simulation.simulation",
    "load_run": "agentos.records.views.run_tables",
    "load_runs": "agentos.records.views.run_tables",
    "Society": "agentos.tasks.society.open_society",
    "Task": "agentos.tasks.config",
    "solve": "agentos.tasks.solving.solve_any",
}

__all__ = ["Result", "RunConfig", "Simulation", "Society", "Task", "load_run", "load_runs", "solve"]


def __getattr__(name: str) -> Any:
    """Import an export when it is first asked for: a command's help must not wait for it."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_EXPORTS[name]), name)
