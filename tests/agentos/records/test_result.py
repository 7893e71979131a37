"""The result of a run: sums, means and the worst agent, typed and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentos import Result
from agentos.evaluation.base import Metric
from agentos.records.reports import ArmResult, RoundReport
from agentos.records.result import RunIdentity, summarise

METRICS = (
    Metric(name="mrr", higher_is_better=True, help="Up."),
    Metric(name="alignment", higher_is_better=False, help="Down."),
)


def arm(last: int, shift: float = 0.0, evaluated: tuple[int, ...] = (0, 2)) -> ArmResult:
    """Two agents over rounds 0 to `last`; the numbers are small and made up."""
    result = ArmResult()
    for round in range(last + 1):
        evaluation = {
            agent: {"mrr": 0.1 * round + 0.2 * agent + shift, "alignment": 1.0 + agent}
            for agent in range(2)
        }
        due = evaluation if round in evaluated else {}
        trained = {"tokens": 100.0, "anchor_tokens": 30.0, "loss": 1.0} if round else {}
        metrics = {agent: {**trained, **due.get(agent, {})} for agent in range(2)}
        result.rounds.append(RoundReport("x", round, 2, metrics, due, 0.5 + round, 0))
    return result


@pytest.fixture
def sum_up(tmp_path: Path) -> Callable[..., Result]:
    def make(together: ArmResult, isolated: ArmResult | None = None, **changes: Any) -> Result:
        values: dict[str, Any] = {"status": "finished", "wall_s": 9.0, "phase_s": {"training": 3.0}}
        run = RunIdentity(tmp_path, "small", 0, 2, METRICS)
        baselines = {} if isolated is None else {"isolated": isolated}
        return summarise(run, together, baselines, **{**values, **changes})

    return make


def test_summary_of_a_finished_run(sum_up: Callable[..., Result]) -> None:
    together = arm(2)
    together.ledger.record(1, 0, 0, 1, "embeddings", 100, 400)
    together.ledger.record(1, 0, 1, 0, "weights", 11)
    summary = json.loads(json.dumps(sum_up(together, arm(2, shift=0.1)).as_json()))
    assert summary == {
        "name": "small",
        "seed": 0,
        "status": "finished",
        "rounds": 2,
        "steps": 4,
        "tokens": 400,
        "anchor_tokens": 120,
        "wall_s": 9.0,
        "round_s": [1.5, 2.5],
        "phase_s": {"training": 3.0},
        "bytes": {
            "total": 111,
            "by_kind": {"embeddings": 100, "weights": 11},
            "fp32_total": 411,
            "fp32_by_kind": {"embeddings": 400, "weights": 11},
        },
        "agents": {
            "agent-0": {"mrr": 0.2, "alignment": 1.0},
            "agent-1": {"mrr": 0.4, "alignment": 2.0},
        },
        "mean": {"mrr": pytest.approx(0.3), "alignment": 1.5},
        "worst": {"mrr": 0.2, "alignment": 2.0},
        "before": {
            "agents": {
                "agent-0": {"mrr": 0.0, "alignment": 1.0},
                "agent-1": {"mrr": 0.2, "alignment": 2.0},
            },
            "mean": {"mrr": pytest.approx(0.1), "alignment": 1.5},
            "worst": {"mrr": 0.0, "alignment": 2.0},
        },
        "isolated": {
            "agents": {
                "agent-0": {"mrr": pytest.approx(0.3), "alignment": 1.0},
                "agent-1": {"mrr": pytest.approx(0.5), "alignment": 2.0},
            },
            "mean": {"mrr": pytest.approx(0.4), "alignment": 1.5},
            "worst": {"mrr": pytest.approx(0.3), "alignment": 2.0},
            "tokens": 400,
            "wall_s": 4.5,
        },
    }


def test_absent_baseline_is_left_out(sum_up: Callable[..., Result]) -> None:
    result = sum_up(arm(2))
    assert result.isolated is None
    assert "isolated" not in result.as_json()


def test_directory_is_no_part_of_the_summary(sum_up: Callable[..., Result]) -> None:
    assert "directory" not in sum_up(arm(2)).as_json()


def test_baseline_that_was_cut_short_is_left_out(sum_up: Callable[..., Result]) -> None:
    assert sum_up(arm(2), arm(1), status="interrupted").isolated is None
    assert sum_up(arm(2), ArmResult(), status="interrupted").isolated is None


def test_interrupted_run_shows_its_last_evaluation(sum_up: Callable[..., Result]) -> None:
    result = sum_up(arm(1), status="interrupted")
    assert (result.status, result.rounds, result.steps) == ("interrupted", 1, 2)
    assert result.mean == result.before.mean


def test_run_that_failed_before_its_first_round_has_an_empty_summary(
    sum_up: Callable[..., Result],
) -> None:
    result = sum_up(ArmResult(), status="failed")
    assert (result.rounds, result.tokens, result.round_s, result.agents) == (0, 0, (), {})
    assert result.bytes.total == 0


def test_result_cannot_be_changed(sum_up: Callable[..., Result]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        sum_up(arm(2)).tokens = 3
