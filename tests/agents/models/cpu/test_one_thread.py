"""Linear algebra on one thread, also for libraries that are imported later."""

from __future__ import annotations

import subprocess
import sys

LATER = """
import os
import numpy
from threadpoolctl import threadpool_info
from agents.models.cpu.one_thread import one_thread

def threads():
    return {each["filepath"]: each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

with one_thread():
    few = threads()
import scipy.linalg
outside = threads()
with one_thread():
    more = threads()
assert len(more) > len(few) > 0, (few, more)
assert set(few.values()) == set(more.values()) == {1}, (few, more)
assert outside == threads() and (max(outside.values()) == 2 or os.cpu_count() == 1)
"""


def test_every_library_has_one_thread_within_the_context_and_its_own_after_it() -> None:
    environment = {"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LATER], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
