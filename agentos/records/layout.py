"""The run folder: the name of every file and folder in it, and of the agents in those files.

``config.yaml``, ``environment.json``, ``network.json`` and ``evaluation.json`` describe the run;
``metrics.jsonl``, ``timings.jsonl``, ``health.jsonl``, ``faults.jsonl`` and ``restarts.jsonl`` grow with
it; ``ledger.parquet``, ``summary.json``, ``embeddings.safetensors``, ``similarity.json``, ``report.html``
and, for a profiled run, ``trace.json`` are written at its end. ``isolated/`` holds the metrics of the
baseline, ``checkpoints/ARM-ROUND/`` the states to resume from, ``encoders/agent-N/`` the trained
encoders, and ``tensorboard/`` both arms' curves.
"""

from __future__ import annotations

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
NETWORK = "network.json"
EVALUATION = "evaluation.json"
METRICS = "metrics.jsonl"
TIMINGS = "timings.jsonl"
HEALTH = "health.jsonl"
FAULTS = "faults.jsonl"
RESTARTS = "restarts.jsonl"
LEDGER = "ledger.parquet"
SUMMARY = "summary.json"
EMBEDDINGS = "embeddings.safetensors"
SIMILARITY = "similarity.json"
TRACE = "trace.json"
REPORT = "report.html"

TOGETHER, ISOLATED = ARMS = ("together", "isolated")
"""The two arms of a run, in the order in which they run; ``isolated`` names the baseline's folder too."""
ENCODERS = "encoders"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"
"""Names the files of a checkpoint, and is written last: a folder without it is no checkpoint."""

WRITTEN_LATER = (
    METRICS,
    TIMINGS,
    HEALTH,
    FAULTS,
    RESTARTS,
    LEDGER,
    SUMMARY,
    EMBEDDINGS,
    SIMILARITY,
    TRACE,
    REPORT,
)
"""Files that a run appends to or may never write: a new run in the same folder removes them first."""


def agent_name(agent: int) -> str:
    """Return the name of an agent in records and folders.

    Example:
        >>> agent_name(3), agent_number("agent-3"), agent_number("numpy")
        ('agent-3', 3, None)
    """
    return f"agent-{agent}"


def agent_number(name: str) -> int | None:
    """Return the number of an agent, or None if the name is not one of `agent_name`."""
    prefix, _, number = name.rpartition("-")
    return int(number) if prefix == "agent" and number.isdecimal() else None
