"""The parts of a run's page: what they hold, when they change, and that they stay small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.records.layout import ISOLATED
from agentos.web import run_parts as module
from agentos.web.overviews import Overviews
from agentos.web.run_parts import RunParts


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRESH_S", 0.0)


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., RunParts]:
    return lambda name="run": RunParts(tmp_path / "runs" / name, Overviews(tmp_path / "runs"))


def values(parts: RunParts) -> dict[str, Any]:
    return {name: json.loads(part.text) for name, part in parts.refresh().items()}


def test_run_in_progress_is_shown_as_it_goes_on(pretend: Any, watch: Any) -> None:
    run, parts = pretend(agents=4, rounds=5), watch()
    assert values(parts)["head"]["stage"] == "Starting"
    run.round()
    run.round()
    run.phase("training")
    found = values(parts)
    head = found["head"]
    assert (head["status"], head["stage"], head["current"]) == ("running", "training", 2)
    assert (head["round"], head["rounds"], head["done"], head["total"]) == (1, 5, 1, 10)
    assert found["agents"]["state"] == "tttt"
    assert found["agents"]["sent"] == [4000.0] * 4
    error = np.std(found["agents"]["main"], ddof=1) / 2
    assert found["agents"]["half_width"] == pytest.approx(3.182 * error, rel=1e-3)  # t of 3 degrees
    edges = found["edges"]["edges"]
    assert found["edges"]["of"] == "round"
    assert {tuple(edges[i : i + 2]) for i in range(0, len(edges), 3)} == {
        pair for a, b in run.network.edges for pair in ((a, b), (b, a))
    }
    assert sum(edges[2::3]) == head["total_bytes"] == run.ledger.total()
    points = found["curves"]["arms"]["accuracy"]["together"]
    assert [point[0] for point in points] == [0, 1]
    assert points[1][1] == pytest.approx(sum(points[1][4]) / 4, rel=1e-4)
    assert [metric["title"] for metric in found["curves"]["metrics"]] == [
        "Training loss", "Probe accuracy", "MRR",
    ]  # fmt: skip
    assert "together: round 1 of 5" in found["log"][-1]


def test_ended_run_has_the_bytes_of_all_rounds_and_its_baseline(pretend: Any, watch: Any) -> None:
    run = pretend(agents=3, rounds=2)
    for arm in ("together", ISOLATED):
        for _ in range(3):
            run.round(arm)
    run.end()
    run.__exit__()
    found = values(watch())
    assert found["head"]["status"] == "finished"
    assert found["edges"]["of"] == "run"
    assert sum(found["edges"]["edges"][2::3]) == run.ledger.total()
    assert found["curves"]["arms"]["loss"].keys() == {"together", ISOLATED}
    assert (found["agents"]["arm"], found["agents"]["sent"][0]) == ("together", 4000.0)


def test_parts_change_only_when_what_they_show_does(pretend: Any, watch: Any) -> None:
    run, parts = pretend(), watch()
    run.round()
    parts.refresh()
    before = parts.refresh()
    assert parts.refresh() == before
    run.phase("exchanging")
    after = parts.refresh()
    assert {name for name in after if after[name] != before[name]} == {"head"}
    run.round()
    changed = {name for name, part in parts.refresh().items() if part != after[name]}
    assert changed == {"head", "agents", "curves", "edges", "log"}


def test_places_come_after_everything_else(pretend: Any, watch: Any) -> None:
    run, parts = pretend(names=("a", "a", "<b>", "d", "e\x1b", "f")), watch()
    run.round()
    assert "society" not in parts.refresh()
    society = values(parts)["society"]
    assert society["names"] == ["a (0)", "a (1)", "<b>", "d", "e\\x1b", "f"]
    assert len(society["edges"]) == 2 * len(run.network.edges)
    assert min(society["x"] + society["y"]) == 0.0
    assert max(society["x"] + society["y"]) == 1.0


def test_states_and_alarms_tell_what_is_wrong(pretend: Any, watch: Any) -> None:
    run, parts = pretend(), watch()
    run.round()
    odd = {
        1: {"absent": 1.0},
        2: {"loss": 9.0, "diverged": 1.0, "paused": 1.0},
        3: {"loss": 2.0, "paused": 1.0},
        4: {"loss": 2.0, "rejected": 3.0},
    }
    run.round(odd=odd)
    run.recorder.health(1, {}, {3: "rank share 0.02"})
    found = values(parts)
    assert found["agents"]["state"] == "tadptt"
    assert [alarm["text"] for alarm in found["alarms"]["latest"]] == [
        "library-2: numbers that are not finite",
        "3 messages rejected by library-4",
        "library-3: exchange paused, rank share 0.02",
    ]
    run.recorder.health(2, {}, {3: "rank share 0.02"})
    assert values(parts)["alarms"]["count"] == 3, "a pause that goes on is one alarm"
    run.recorder.health(3, {}, {})
    assert values(parts)["alarms"]["latest"][0] == {
        "round": 3, "text": "library-3: exchange goes on", "tone": "good",
    }  # fmt: skip


def test_run_that_goes_back_is_shown_from_there(pretend: Any, watch: Any) -> None:
    run, parts = pretend(), watch()
    for _ in range(5):
        run.round(odd={1: {"loss": 2.0, "rejected": 1.0}})
    assert len(values(parts)["curves"]["arms"]["accuracy"]["together"]) == 5
    run.recorder.go_back("together", 2)
    run._reached["together"] = 2
    found = values(parts)
    assert [point[0] for point in found["curves"]["arms"]["accuracy"]["together"]] == [0, 1, 2]
    assert found["agents"]["round"] == 2
    assert found["alarms"]["count"] == 3
    run.round()
    assert values(parts)["agents"]["round"] == 3


def test_memory_stays_bounded_over_many_rounds(pretend: Any, watch: Any) -> None:
    run, parts = pretend(agents=2, rounds=3_000), watch()
    sizes = []
    for round in range(3_000):
        values_ = [{"agent": agent, "loss": 1.0, "rejected": 1.0} for agent in range(2)]
        run.recorder.round(round, values_) if round < 20 else _append(run.directory, round)
        if round % 20 == 0:
            run.listener.on_stage(f"stage {round}")
            sizes.append(sum(len(part.text) for part in parts.refresh().values()))
    found = values(parts)
    assert found["alarms"]["count"] == 3_000
    assert len(found["alarms"]["latest"]) == 100
    assert len(found["curves"]["arms"]["loss"]["together"]) <= 241
    assert found["curves"]["arms"]["loss"]["together"][-1][0] == 2_999
    assert len(found["log"]) <= module.LOG_LINES
    assert max(sizes) < 60_000
    assert max(sizes[100:]) < 1.3 * max(sizes[30:60])


def _append(folder: Path, round: int) -> None:
    """Append a round without the copy for TensorBoard, whose writing takes most of the time."""
    with (folder / "metrics.jsonl").open("a") as file:
        for agent in range(2):
            row = {"round": round, "agent": f"agent-{agent}", "loss": 1.0, "rejected": 1.0}
            file.write(json.dumps(row) + "\n")


def test_thousand_agents_are_parts_of_a_size_that_a_browser_takes(pretend: Any, watch: Any) -> None:
    run, parts = pretend(agents=1_000, topology="small_world"), watch()
    for _ in range(3):
        run.round()
    parts.refresh()
    sizes = {name: len(part.text) for name, part in parts.refresh().items()}
    assert max(sizes.values()) < 150_000, sizes


TAMPERED = [
    ("network.json", "{}"),
    ("network.json", '{"agents": 100000000}'),
    ("evaluation.json", "[]"),
    ("metrics.jsonl", '{"round": 1, "agent": "agent-99", "loss": 1e400}\n[1]\n{"round": "x"}\n{\n'),
    ("metrics.jsonl", '{"round": 1, "agent": "agent-0", "loss": "<script>"}\n'),
    ("health.jsonl", '{"round": 1, "paused": [1]}\n'),
    ("faults.jsonl", '{"round": 1}\n'),
    ("restarts.jsonl", '{"round": 1, "why": null}\n'),
    (".live.json", '{"edges": [["a", "b"]], "stage": ["x"], "left_s": "soon"}'),
    (".live.json", '{"left_s": NaN, "done": Infinity, "edges": [[NaN, 1, 1]]}'),
    (".live.json", "["),
    ("ledger.parquet", "no table"),
    ("config.yaml", "["),
    ("run.log", "\x00\x1b[2J\ud7ff"),
]


@pytest.mark.parametrize(("name", "text"), TAMPERED)
@pytest.mark.parametrize("running", [True, False])
def test_tampered_records_are_told_and_never_an_error(
    pretend: Any, watch: Any, name: str, text: str, running: bool
) -> None:
    run = pretend()
    run.round()
    if not running:
        run.__exit__()
    (run.directory / name).write_text(text, "utf-8")
    parts = watch()
    for _ in range(3):
        found = values(parts)
    assert found["head"]["name"]
    if name != "config.yaml":
        assert found["head"]["status"] in ("running", "interrupted", "damaged")


def test_folder_that_is_removed_meanwhile_is_no_error(pretend: Any, watch: Any) -> None:
    import shutil

    run, parts = pretend(), watch()
    run.round()
    parts.refresh()
    run.__exit__()
    shutil.rmtree(run.directory)
    assert values(parts)["head"]["status"] == "interrupted"
