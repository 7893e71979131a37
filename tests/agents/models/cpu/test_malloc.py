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
from agents.models.cpu.malloc import keep_freed_memory

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
    kept, faults = _output(_PROGRAM.replace("KEEP", str(keep)), **environment).split()
    return int(kept), int(faults)


def _output(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin", **environment},
    )
    return done.stdout


def test_steps_touch_no_page_anew_when_freed_memory_is_kept() -> None:
    (kept, faults), (_, without) = run(True), run(False)
    assert kept == 1
    assert faults < 100
    assert without > 10 * faults, "the C library kept it by itself: nothing is gained"


_COMING_AND_GOING = """
import numpy as np, psutil
from agents.models.cpu.malloc import keep_freed_memory, return_freed_memory

keep_freed_memory()
states, small = [np.ones(3 * 2**20, np.float32) for _ in range(40)], []  # 12 MiB each
for _ in range(40):  # one goes, something small takes its place, another comes
    states.pop(0)
    small.append(np.ones(2**20, np.float32))
    states.append(np.ones(3 * 2**20, np.float32))
small.clear()
before = psutil.Process().memory_info().rss
return_freed_memory()
print((before - psutil.Process().memory_info().rss) // 2**20)
"""


def test_holes_of_what_comes_and_goes_are_given_back_when_asked() -> None:
    assert int(_output(_COMING_AND_GOING)) > 100  # MiB


def test_an_environment_that_says_how_to_allocate_is_obeyed() -> None:
    assert run(True, MALLOC_TRIM_THRESHOLD_="131072")[0] == 0
