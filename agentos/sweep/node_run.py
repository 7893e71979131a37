"""A run of a sweep on a node of a Ray cluster, in a process of its own there.

Ray's worker imports this module alone: the process imports what the run needs.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentos.sweep.worker_process import WORKER, RunProcess, Task
from protocols.errors import RecordError

_POLL_S = 0.2
_GRACE_S = 25.0
"""Time that a run has to close its records, below that of the sweep, which kills the task then."""


def run_on_node(
    task: Task, log: str, row: str, worker: Sequence[str] | None = None
) -> tuple[int, dict[str, Any] | None]:
    """Execute a run on the node that this is called on; return its exit code and the row it left.

    Args:
        task: what to run.
        log: path of the file of its output, in a folder that the node shares with the sweep.
        row: name of the file of the row.
        worker: command of the run; None for that of this Python.

    Raises:
        RecordError: the node does not have the folder.
    """
    path = Path(log)
    if not path.parent.is_dir():
        raise RecordError(
            f"{path.parent} is not on the node {socket.gethostname()}",
            hint="choose a folder with --out that all nodes share",
        )
    # Cancelling arrives as SIGINT, which all processes of a Ray started in a script's background ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = RunProcess(task, path, worker or WORKER)
    try:
        while (code := process.exit_code()) is None:
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        process.interrupt()
        process.end(_GRACE_S)
        raise
    left = Path(task["folder"]) / row
    return code, json.loads(left.read_text(encoding="utf-8")) if left.is_file() else None
