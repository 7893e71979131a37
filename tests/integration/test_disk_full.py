"""A disk without room: a clear error, readable records, and a run that goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.records import load_run
from agentos.resuming import resumption
from agentos.rounds import RoundReport
from protocols.errors import RecordError

resource = pytest.importorskip("resource", reason="there is no limit to the size of files here")


@contextmanager
def no_file_beyond(size: int | None) -> Iterator[Callable[[int], None]]:
    """Let the operating system refuse to write beyond a size, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        if size is not None:
            limit(size)
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class FullAfter(Listener):
    """Leaves no room for files beyond a size, from the end of a round on."""

    def __init__(self, round: int, size: int, limit: Callable[[int], None]) -> None:
        self.round, self.size, self.limit = round, size, limit

    def on_round(self, report: RoundReport) -> None:
        if report.round == self.round:
            self.limit(self.size)


@pytest.fixture
def config(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        training = {"rounds": 3, "local_steps": 1, "batch_size": 12, "max_length": 16}
        evaluation = {"every": 3, "tasks": ["geometry"], "documents": 40, "between_agents": False}
        values = {"training": training, "evaluation": evaluation, "baseline": {"isolated": False}}
        return small(**values, **changes)

    return make


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Path]:
    """A run that had room enough."""
    return {}


@pytest.mark.parametrize(
    ("size", "every"),
    [
        pytest.param(3000, 0, id="no room for metrics"),
        pytest.param(100_000, 1, id="no room for checkpoints"),
    ],
)
def test_full_disk_ends_a_run_that_goes_on_when_there_is_room(
    size: int,
    every: int,
    config: Callable[..., RunConfig],
    undisturbed: dict[str, Path],
    cache: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentos.report.write_report", lambda directory: None)
    if not undisturbed:
        undisturbed["run"] = tmp_path_factory.mktemp("undisturbed") / "run"
        Simulation(config(), undisturbed["run"], cache=cache).run()
    changed = config(checkpoints={"every": every})
    out = tmp_path / "run"
    with no_file_beyond(None) as limit, pytest.raises(RecordError) as caught:
        Simulation(changed, out, FullAfter(1, size, limit), cache=cache).run()
    assert "cannot be written to" in caught.value.message
    assert caught.value.actual == "File too large"
    record = load_run(out)
    assert {row["round"] for row in record.metrics} >= {0, 1}
    Simulation(changed, out, cache=cache).run(resumption(out))
    for name in ("metrics.jsonl", "health.jsonl"):
        assert (out / name).read_bytes() == (undisturbed["run"] / name).read_bytes()
