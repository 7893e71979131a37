"""Freed memory that is kept: fewer pages are touched anew, unless the environment says otherwise."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")

_PROGRAM = """
import resource
import numpy as np
from agents.allocation import keep_freed_memory

kept = KEEP and keep_freed_memory()
def step():
    blocks = [np.ones(2**20, np.float32) for _ in range(8)]  # 4 MiB each
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(keep: bool, **environment: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.replace("KEEP", str(keep))],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin", **environment},
    )
    kept, faults = done.stdout.split()
    return int(kept), int(faults)


def test_steps_touch_no_page_anew_when_freed_memory_is_kept() -> None:
    (kept, faults), (_, without) = run(True), run(False)
    assert kept == 1
    assert faults < 100
    assert without > 10 * faults, "the C library kept it by itself: nothing is gained"


def test_an_environment_that_says_how_to_allocate_is_obeyed() -> None:
    assert run(True, MALLOC_TRIM_THRESHOLD_="131072")[0] == 0
