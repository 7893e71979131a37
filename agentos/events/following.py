"""The listeners of every run, for as long as it lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agentos.events.listener import Listener, Listeners
from agentos.events.live_state import LiveState
from agentos.events.run_log import RunLog


@contextmanager
def followed(directory: Path, arms: Sequence[str], continues: bool = False) -> Iterator[Listener]:
    """Keep the log and the live state of a run, and write how it ended.

    Args:
        directory: the run folder, which exists.
        arms: the arms of the run, in their order.
        continues: whether the folder holds a run that goes on, which may be refused.
    """
    log, live = RunLog(directory, continues), LiveState(directory, arms)
    root = logging.getLogger()
    root.addHandler(log)
    try:
        yield Listeners(log, live)
    except BaseException as error:
        log.write(f"ended by {type(error).__name__}: {error}")
        raise
    else:
        log.go_on()
        log.write("finished")
    finally:
        root.removeHandler(log)
        live.close()
