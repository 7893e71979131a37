"""Tests in a process of their own, of the program in another folder, with libraries that are loaded once."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.benchmarks.fuzzing.importing_tests import PACKAGES, ROOT

CPU_S = 120
"""Time of the processor for one suite of a mutant: a loop without an end uses it up."""
KILLED, SURVIVED, ENDLESS = "killed", "survived", "endless"
NO_TEST = 5
FAILED = ".failed"
QUICK, SLOW = (f"{which} and not ray and not own_ray" for which in ("not slow", "slow"))


class _FirstFailure:
    """Writes the name of the test that failed."""

    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            Path(FAILED).write_text(report.nodeid, "utf-8")

    pytest_collectreport = pytest_runtest_logreport


def failed(tree: Path) -> list[str]:
    """Return the test that failed last, once; none where the process ended before it could be named."""
    file = tree / FAILED
    name = file.read_text("utf-8") if file.exists() else ""
    file.unlink(missing_ok=True)
    return [name] if name else []


def spent_s() -> float:
    """Return the time of the processor that all tests so far took, in seconds."""
    used = os.times()
    return used.children_user + used.children_system


def outcome_of(tests: Sequence[str], tree: Path, marked: str) -> str:
    """Run tests until the first that fails, and say how that ended.

    Args:
        tests: files of tests, or names of single ones.
        tree: a copy of the program and its tests.
        marked: which of them, by their marks: `QUICK` or `SLOW`.

    Returns:
        `KILLED` if one failed, `SURVIVED` if none did or there was none, `ENDLESS` if they met `CPU_S`.
    """
    gc.freeze()  # what is loaded is shared with the child, page by page, as long as nothing touches it
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _run_tests(tests, tree, marked)
        finally:
            os._exit(code)
    gc.unfreeze()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return ENDLESS if os.WTERMSIG(status) == signal.SIGXCPU else KILLED
    return SURVIVED if os.WEXITSTATUS(status) in (0, NO_TEST) else KILLED


def _run_tests(tests: Sequence[str], tree: Path, marked: str) -> int:
    """Run tests with the program in the tree and the libraries that are loaded; return pytest's code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    for name in [name for name in sys.modules if name.split(".")[0] in (*PACKAGES, "experiments")]:
        del sys.modules[name]
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(tree)
    os.chdir(tree)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout", "0"]
    # Plugins that libraries import warn of it.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, "-m", marked, *tests], plugins=[_FirstFailure()]))
