"""One run of a sweep, in its own process: ``python -m agentos.sweep.worker``.

The task is one line of JSON on standard input, which then stays open: when it closes, because the sweep was
stopped or has died, the run is interrupted.
"""

from __future__ import annotations

import _thread
import json
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path

from agentos.config.run import RunConfig
from agentos.records.atomic_files import write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.records.layout import ENCODERS, ISOLATED
from agentos.simulation.simulation import Simulation
from agentos.sweep.rows import FAILED, Row, measured
from protocols.errors import AgentOSError
from protocols.plugins import TrustedPlugins

ROW = "row.json"
INTERRUPTED = 130


def main() -> int:
    """Run the task on standard input; leave its row in the run folder, unless interrupted."""
    task = json.loads(sys.stdin.readline())
    # The end of the input is raised as SIGINT, which what a script starts in its background ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    folder = Path(task["folder"])
    try:
        plugins = TrustedPlugins.of(task["trusted"])
        config = RunConfig.model_validate(task["config"], context=plugins)
        row = run(config, folder, keep=task["keep_encoders"])
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # any failure is recorded, and the sweep continues
        traceback.print_exc()
        known = isinstance(error, AgentOSError)
        row = failure(str(error) if known else f"{type(error).__name__}: {error}")
    write_row(folder, row)
    return 0


def run(config: RunConfig, folder: Path, keep: bool) -> Row:
    """Run a configuration in a folder, in place of what an earlier attempt left there."""
    if folder.is_dir():
        with alone_in(folder):
            shutil.rmtree(folder, ignore_errors=True)
    Simulation(config, folder).run()
    if not keep:
        for each in (folder, folder / ISOLATED):
            shutil.rmtree(each / ENCODERS, ignore_errors=True)
    return measured(folder, config)


def failure(error: str) -> Row:
    """Return the row of a run that failed."""
    return {"status": FAILED, "error": error}


def write_row(folder: Path, row: Row) -> None:
    """Leave a run's row in its folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ROW, row)


def _interrupt_at_end_of_input() -> None:
    sys.stdin.read()
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())
