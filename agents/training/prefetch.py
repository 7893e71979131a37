"""Background threads that run jobs ahead of time, in a fixed order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Runs jobs in the background, some ahead of the reader of their results, in the order of the jobs.

    Jobs must not depend on each other or on the use of their results. The iterable of jobs is itself
    consumed in the reader's thread, and no further ahead than the jobs in progress.

    Args:
        jobs: functions without arguments.
        workers: threads; 0 runs every job when its result is read.
        ahead: jobs that may be finished or in progress before their results are read.

    Attributes:
        wait_s: seconds that the reader has waited.

    Example:
        >>> list(Prefetcher([lambda: 1, lambda: 2], workers=1))
        [1, 2]
    """

    def __init__(self, jobs: Iterable[Callable[[], T]], workers: int = 1, ahead: int = 3) -> None:
        self._jobs = iter(jobs)
        self._ahead = ahead if workers else 1
        self._pool = ThreadPoolExecutor(workers, "prefetch") if workers else None
        self._queue: deque[Future[T] | Callable[[], T]] = deque()
        self.wait_s = 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        began = time.perf_counter()
        try:
            self._fill()
            if not self._queue:
                raise StopIteration
            head = self._queue.popleft()
            result = head.result() if isinstance(head, Future) else head()
            self._fill()
            return result
        finally:
            self.wait_s += time.perf_counter() - began

    def close(self) -> None:
        """Drop unread results, and end the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Prefetcher[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> None:
        while len(self._queue) < self._ahead:
            try:
                job = next(self._jobs)
            except StopIteration:
                return
            except Exception as error:
                # Raised in its place, after the results of the jobs before it.
                job = partial(_fail, error)
            self._queue.append(job if self._pool is None else self._pool.submit(job))


def _fail(error: Exception) -> Any:
    raise error
