"""The run folder: the name of every file and folder in it, and of the agents in those files.

``config.yaml``, ``environment.json``, ``network.json``, ``evaluation.json`` and ``fingerprint.json``
describe the run; ``metrics.jsonl``, ``timings.jsonl``, ``health.jsonl``, ``faults.jsonl`` and
``restarts.jsonl`` grow with it; ``ledger.parquet``, ``summary.json``, ``embeddings.safetensors``,
``similarity.json``, ``explanations.json``, ``report.html`` and, for a profiled run, ``trace.json`` are
written at its end. ``isolated/`` and ``self_training/`` hold the metrics of the baselines,
``checkpoints/ARM-ROUND/`` the states to resume from, ``encoders/agent-N/`` the trained encoders,
``isolated/encoders/agent-N/`` those of the same agents trained alone, and ``tensorboard/`` all arms' curves.
``.lock`` is held by the process that writes in the folder, which describes itself in ``.live.json`` and
writes what happened into ``run.log``.
"""

from __future__ import annotations

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
NETWORK = "network.json"
EVALUATION = "evaluation.json"
FINGERPRINT = "fingerprint.json"
METRICS = "metrics.jsonl"
TIMINGS = "timings.jsonl"
HEALTH = "health.jsonl"
FAULTS = "faults.jsonl"
RESTARTS = "restarts.jsonl"
LEDGER = "ledger.parquet"
SUMMARY = "summary.json"
EMBEDDINGS = "embeddings.safetensors"
SIMILARITY = "similarity.json"
EXPLANATIONS = "explanations.json"
TRACE = "trace.json"
REPORT = "report.html"
LOG = "run.log"
"""Log of events, in lines for people; it grows when a run is resumed."""
HELDOUT = "heldout_documents"
"""Key of ``environment.json``: documents that the agents were evaluated on."""
LIVE = ".live.json"
"""Phase of the run in progress, and the bytes on each edge in its last round; removed at its end."""

TOGETHER, ISOLATED, SELF_TRAINING = ARMS = ("together", "isolated", "self_training")
"""The arms of a run, in the order in which they run."""
BASELINES = (ISOLATED, SELF_TRAINING)
"""The arms other than the run itself; each has a folder of its name."""
ENCODERS = "encoders"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"
"""Names the files of a checkpoint, and is written last: a folder without it is not a checkpoint."""

LOCK = ".lock"
LOCK_HOLDER = ".lock-holder.json"
"""Process and host that hold the lock; it is there only while they do, or after they were killed."""
STARTING = ".starting"
"""Marks a folder whose run has not yet written everything that describes it."""

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
    EXPLANATIONS,
    TRACE,
    REPORT,
    LOG,
    LIVE,
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
