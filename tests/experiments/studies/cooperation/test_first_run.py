"""The page of the first run over seeds, from made-up results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentos import Result, RunConfig, Simulation
from experiments.studies.cooperation import first_run
from protocols.errors import RecordError


def result(seed: int, alone: float, by_itself: float, together: float) -> Result:
    """Two agents; the second is better by 0.1 in every arm."""

    def quality(value: float) -> dict[str, Any]:
        agents = {
            f"agent-{i}": {first_run.METRIC: value + 0.1 * i, first_run.JOINT: 0.9}
            for i in range(2)
        }
        return {"agents": agents}

    baseline = {"tokens": 1, "wall_s": 1.0}
    return Result.model_validate(
        {
            **quality(together),
            "directory": Path(),
            "name": "quickstart",
            "seed": seed,
            "status": "finished",
            "rounds": 1,
            "steps": 1,
            "tokens": 1,
            "anchor_tokens": 0,
            "wall_s": 1.0,
            "round_s": (1.0,),
            "bytes": {"total": 2_000_000, "by_kind": {}, "fp32_total": 0, "fp32_by_kind": {}},
            "before": {},
            "isolated": {**quality(alone), **baseline},
            "self_training": {**quality(by_itself), **baseline},
        }
    )


RESULTS = [
    result(0, 0.4, 0.5, 0.45),
    result(4, 0.4, 0.3, 0.5),
    result(5, 0.4, 0.3, 0.5),
]


def test_table_pairs_gains_by_seed_and_agent():
    lines = first_run.table(RESULTS, ["one", "two"]).splitlines()
    one = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert one[:4] == ["one", "0.400", "0.367", "0.483"]
    # Gains over self-training: -0.05, 0.2, 0.2; Student's t of two degrees of freedom is 4.303.
    assert one[-2] == f"+0.117 ± {4.303 * 0.25 / 3:.3f}"
    assert one[-1] == "2 of 3"
    assert "4 of 6" in lines[-2]


def test_page_tells_the_seeds_apart_that_the_setting_was_chosen_on():
    page = first_run.page(RESULTS, ["one", "two"], "WORDS", "command")
    assert (
        "the other 2 gain +0.100 ± 0.000 over alone and +0.200 ± 0.000 over self-training" in page
    )
    assert "2.00 MB" in page
    assert "WORDS" in page
    assert "the other" not in first_run.page(RESULTS[:2], ["one", "two"], "", "")


@pytest.mark.usefixtures("no_report")
def test_folder_of_another_run_is_refused(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
):
    Simulation(small(), out=tmp_path / "run", cache=cache).run()
    with pytest.raises(RecordError, match="does not hold this run") as caught:
        first_run.result_of(tmp_path / "run", ["runtime.kind=local"], Console())
    assert "--runs" in caught.value.hint


def test_finished_run_is_read_again_wherever_it_ran_and_whatever_precision_was_chosen(
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    training = {**small().training.model_dump(), "precision": "auto"}
    config = small(training=training)
    unchecked = small(training=training, health={"every": 0})
    made = Simulation(config, out=tmp_path / "run", cache=cache).run()
    elsewhere = config.model_copy(
        update={
            "runtime": small(runtime="ray").runtime,
            "checkpoints": small(checkpoints={"every": "auto"}).checkpoints,
            "health": small(health={"every": "auto", "share": 1.0}).health,
        }
    )
    monkeypatch.setattr(first_run, "load", lambda *_: elsewhere)
    again = first_run.result_of(tmp_path / "run", [], Console())
    assert again.seed == made.seed
    monkeypatch.setattr(first_run, "load", lambda *_: unchecked)
    with pytest.raises(RecordError, match="does not hold this run"):
        first_run.result_of(tmp_path / "run", [], Console())
    monkeypatch.setattr(first_run, "load", lambda *_: config.model_copy(update={"seed": 9}))
    with pytest.raises(RecordError, match="does not hold this run"):
        first_run.result_of(tmp_path / "run", [], Console())
