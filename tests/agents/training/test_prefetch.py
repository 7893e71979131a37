from __future__ import annotations

import threading
import time

import pytest

from agents.training.prefetch import Prefetcher

WORKERS = [0, 1, 3]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("workers", WORKERS)
def test_results_come_in_the_order_of_the_jobs_whichever_is_done_first(workers):
    def job(number):
        def run():
            time.sleep(0.01 * (number % 3 == 0))
            return number

        return run

    with Prefetcher((job(number) for number in range(20)), workers, ahead=5) as results:
        assert list(results) == list(range(20))


@pytest.mark.parametrize("workers", WORKERS)
def test_exception_of_a_job_reaches_the_reader_in_its_place(workers):
    def fail():
        raise KeyError("third")

    with Prefetcher([lambda: 1, lambda: 2, fail, lambda: 4], workers, ahead=4) as results:
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(KeyError, match="third"):
            next(results)
        assert next(results) == 4
        with pytest.raises(StopIteration):
            next(results)


@pytest.mark.parametrize("workers", WORKERS)
def test_exception_of_whatever_makes_the_jobs_reaches_the_reader_in_its_place(workers):
    def jobs():
        yield lambda: 1
        raise KeyError("second")

    with Prefetcher(jobs(), workers, ahead=4) as results:
        assert next(results) == 1
        with pytest.raises(KeyError, match="second"):
            next(results)


def test_without_workers_every_job_runs_in_the_reader_when_it_is_asked_for():
    ran = []
    results = Prefetcher([lambda n=n: ran.append(threading.get_ident()) for n in range(4)], 0)
    assert ran == []
    next(results)
    next(results)
    assert ran == [threading.get_ident()] * 2
    assert threads() == []
    results.close()


@pytest.mark.parametrize("ahead", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_ahead_jobs_are_begun_before_they_are_asked_for(workers, ahead):
    begun = []
    read = 0

    def jobs():
        for number in range(12):
            # Read by the reader's thread, no further than the jobs in progress.
            assert number - read <= ahead
            yield lambda number=number: begun.append(number)

    with Prefetcher(jobs(), workers, ahead) as results:
        while True:
            read += 1
            if next(results, "end") == "end":
                break
            time.sleep(0.002)
            assert len(begun) <= read + ahead
    assert begun == sorted(begun) or workers > 1
    assert sorted(begun) == list(range(12))


def test_jobs_run_ahead_while_the_reader_is_busy():
    done = threading.Semaphore(0)
    with Prefetcher([done.release] * 6, workers=1, ahead=3) as results:
        next(results)
        for _ in range(4):  # the one that was read, and three ahead
            assert done.acquire(timeout=5)
        assert not done.acquire(timeout=0.05)


def test_closing_drops_what_was_not_asked_for_and_ends_the_threads():
    ran, gate = [], threading.Event()

    def job():
        gate.wait(5)
        ran.append(1)

    results = Prefetcher([lambda: 0] + [job] * 10, workers=1, ahead=5)
    next(results)
    assert len(threads()) == 1
    gate.set()
    results.close()
    assert threads() == []
    assert len(ran) <= 5


def test_leaving_by_an_exception_ends_the_threads():
    def leave():
        with Prefetcher([lambda: 1] * 5, workers=2) as results:
            next(results)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    assert threads() == []


@pytest.mark.parametrize("workers", [0, 1])
def test_waiting_is_counted_where_the_reader_waits_and_nowhere_else(workers):
    with Prefetcher([lambda: time.sleep(0.05)] * 2, workers, ahead=2) as results:
        next(results)
        assert results.wait_s >= 0.045
        waited = results.wait_s
        time.sleep(0.1)
        next(results)
        # With a worker the second was done in the meantime.
        assert (results.wait_s - waited < 0.04) == bool(workers)
