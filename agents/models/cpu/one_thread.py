"""Linear algebra on one thread: sums split over threads would make numbers depend on the machine.

Finding the libraries of a process takes `threadpoolctl` about 5 ms, more than measuring the health of a small
agent. They are found once, and again after an import, which may have brought another library.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread() -> AbstractContextManager[Any]:
    """Keep the libraries of linear algebra that are loaded to one thread within a context."""
    limits: AbstractContextManager[Any] = _controller(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limits


@lru_cache(maxsize=1)
def _controller(modules: int) -> Any:
    """Find the libraries that are loaded; `modules` is the number of imported modules by now."""
    return ThreadpoolController()
