from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from agentos.evaluation import Metric
from agentos.records.reader import load_run
from agentos.records.result import Quality
from agentos.records.views.histories import traffic_of
from agentos.records.views.metric_curves import arm_curve
from agentos.records.views.outcome import Outcome, gain, outcome
from agentos.records.views.run_view import LOSS, unique
from agentos.reporting.verdict import verdict

UP = Metric(name="mrr", higher_is_better=True, help="Up.", label="MRR")
DOWN = Metric(name="align", higher_is_better=False, help="Down.", label="Alignment")


def arm(metric, values):
    return Quality(agents={f"agent-{i}": {metric.name: value} for i, value in enumerate(values)})


def test_outcome_without_summary_equals_that_with_it(ring_run, make_run, tmp_path):
    bare = outcome(load_run(make_run(tmp_path / "bare", summary=False)))
    whole = outcome(load_run(ring_run))
    for part in ("before", "isolated", "together"):
        assert getattr(bare, part).mean == pytest.approx(getattr(whole, part).mean)
        assert getattr(bare, part).worst == pytest.approx(getattr(whole, part).worst)
    assert bare.tokens == whole.tokens
    assert (bare.status, whole.status) == ("unfinished", "finished")


def test_outcome_counts_only_evaluations_after_training_began(make_run, tmp_path):
    run = make_run(tmp_path / "run", rounds=0, baseline=False, status="interrupted")
    result = outcome(load_run(run))
    assert result.together.mean == {}
    assert result.before.mean.keys() == {m.name for m in result.metrics}
    assert "before its agents were evaluated a second time" in verdict(result).headline


def test_gain_of_a_metric_where_lower_is_better_is_positive_when_it_falls():
    found = gain(arm(DOWN, [1.0, 1.0, 4.0]), arm(DOWN, [2.0, 3.0, 3.0]), DOWN)
    assert (found.mean, found.gained, found.agents) == (pytest.approx(2 / 3), 2, 3)
    assert found.error == pytest.approx(np.std([1, 2, -1], ddof=1) / np.sqrt(3))
    assert not found.clear


def test_gain_pairs_agents_and_skips_those_that_lack_a_value():
    alone = Quality(agents={"agent-0": {"mrr": 0.5}, "agent-1": {}})
    together = Quality(agents={"agent-1": {"mrr": 0.9}, "agent-0": {"mrr": 0.25}})
    assert gain(together, alone, UP).mean == -0.25
    assert gain(Quality(), alone, UP) is None


@pytest.mark.parametrize(
    ("bonus", "tone", "says"),
    [
        (0.03, "gain", "helped"),
        (-0.03, "loss", "hurt"),
        (0.0, "even", "no clear difference"),
    ],
)
def test_verdict_is_honest_about_the_sign(make_run, tmp_path, bonus, tone, says):
    result = outcome(load_run(make_run(tmp_path / "run", bonus=bonus)))
    words = verdict(result)
    assert (words.tone, says in words.headline) == (tone, True)
    assert "MRR" in words.headline
    gained = result.gain.gained
    assert f"{gained} of 6 agents gained" in " ".join(words.details)
    assert "single seed" in words.details[-1]


def test_difference_that_rounds_to_nothing_has_no_side_and_a_diagnostic_no_verdict():
    result = outcome_of({"mrr": (0.5, 0.50004)})
    assert "There is no difference to three digits" in " ".join(verdict(result).details)
    assert verdict(result).tone == "even"
    both = outcome_of({"align": (1.0, 0.2), "mrr": (0.25, 0.5)})
    assert both.main == UP
    assert verdict(outcome_of({"align": (1.0, 0.2)})).tone == "even"


def outcome_of(values):
    """Return an outcome of three agents with these metrics, (alone, together)."""
    known = {"mrr": UP, "align": replace(DOWN, diagnostic=True)}
    alone, together = (
        Quality.of(
            {f"agent-{i}": {name: pair[arm] for name, pair in values.items()} for i in range(3)},
            tuple(known[name] for name in values),
        )
        for arm in (0, 1)
    )
    return Outcome(
        status="finished",
        metrics=tuple(known[name] for name in values),
        before=Quality(),
        isolated=alone,
        together=together,
        compared_at=2,
        isolated_at=2,
        self_training=None,
        self_training_at=0,
        bytes_sent=None,
        rounds=2,
        planned_rounds=2,
        tokens=1,
        steps=1,
        wall_s=1.0,
        waited_for_views=None,
        simulated_s=None,
        phase_s={},
    )


def test_verdict_without_a_baseline_claims_nothing_about_cooperation(make_run, tmp_path):
    words = verdict(outcome(load_run(make_run(tmp_path / "run", baseline=False))))
    assert words.tone == "open"
    assert "rose from" in words.headline
    assert "cannot show what cooperation added" in words.details[-1]


def test_verdict_does_not_compare_a_baseline_that_stopped_early(make_run, tmp_path):
    run = make_run(tmp_path / "run", status="interrupted")
    path = run / "isolated" / "metrics.jsonl"
    rows = [line for line in path.read_text().splitlines() if json.loads(line)["round"] < 5]
    path.write_text("\n".join(rows) + "\n")
    result = outcome(load_run(run))
    words = verdict(result)
    assert not result.fair
    assert words.tone == "open"
    assert "in round 4" in words.details[-1]
    assert "was interrupted" in words.details[0]


def test_curves_are_ordered_by_agent_number_and_leave_gaps_out():
    rows = [
        {"round": 1, "agent": "agent-10", "loss": 1.0},
        {"round": 1, "agent": "agent-2", "loss": None},
        {"round": 2, "agent": "agent-2", "loss": 3.0},
    ]
    curve = arm_curve(rows, LOSS)
    assert (curve.mean, curve.worst) == ([1.0, 3.0], [1.0, 3.0])
    assert list(curve.by_agent.items()) == [(2, ([2], [3.0])), (10, ([1], [1.0]))]
    assert curve.by_round == {1: [1.0], 2: [3.0]}


def test_bytes_sent_by_a_round_include_the_round_itself(ring_run):
    record = load_run(ring_run)
    traffic = traffic_of(record)
    per_round = 12 * 131_072  # six agents, two neighbours each
    first = per_round + 12 * 200_000
    assert [traffic.sent_by(round) for round in (0, 1, 2, 99)] == [
        0,
        first,
        first + per_round,
        record.ledger.total(),
    ]


def test_unique_names_keep_their_order():
    assert unique(["b", "a", "b"]) == ("b (0)", "a", "b (2)")
