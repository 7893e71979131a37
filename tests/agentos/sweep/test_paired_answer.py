"""The answer of a sweep, against statistics computed the long way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from agentos.evaluation.base import Metric
from agentos.sweep.paired_answer import Question, answer
from agentos.sweep.rows import Row
from protocols.errors import ConfigurationError

MRR = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
LOSS = Metric(name="loss", higher_is_better=False, help="A loss.")
MEANINGS = {"mrr": MRR, "loss": LOSS}


def rows(
    arms: Sequence[str] = ("alone", "fedavg", "logits"),
    seeds: int = 5,
    bonus: float = 0.1,
    extra: Sequence[str] = ("x",),
) -> list[Row]:
    """Runs whose seeds differ far more than their arms do."""
    generator = np.random.default_rng(3)
    made = []
    for seed in range(seeds):
        level = generator.normal(0, 1)
        for number, arm in enumerate(arms):
            for topology in ("ring", "star"):
                for other in extra:
                    gain = bonus * (number == 1) * (topology == "ring")
                    value = level + gain + generator.normal(0, 0.01)
                    made.append(
                        {
                            "status": "finished", "arm": arm, "axis.topology": topology,
                            "axis.other": other, "seed": seed, "payload_bytes": 100 * number,
                            "flops": 7, "agents": 3, "heldout": 200,
                            "mrr.mean": value, "mrr.worst": value - 1,
                            "mrr.agents": [value - 1, value + 1, None], "loss.mean": -value,
                            "loss.worst": 1 - value, "loss.agents": [1 - value, -1 - value],
                        }
                    )  # fmt: skip
    return made


def values(found: list[Row], arm: str, topology: str, name: str = "mrr.mean") -> list[float]:
    return [r[name] for r in found if (r["arm"], r["axis.topology"]) == (arm, topology)]


def test_gains_are_paired_by_seed_and_corrected_together() -> None:
    found = rows()
    result = answer(found, MEANINGS)
    assert result is not None
    assert (result.across, result.by, result.baseline) == ("arm", "topology", "alone")
    raw = {}
    for line in result.compared:
        mine, base = values(found, line.name, line.group), values(found, "alone", line.group)
        differences = np.array(mine) - np.array(base)
        assert line.gain is not None
        assert line.gain.mean == pytest.approx(differences.mean())
        half = stats.t.ppf(0.975, 4) * differences.std(ddof=1) / np.sqrt(5)
        assert line.gain.half_width == pytest.approx(half)
        raw[line.group, line.name] = stats.ttest_rel(mine, base).pvalue, line.p
    assert len(raw) == 4
    least = 0.0
    for rank, (p, corrected) in enumerate(sorted(raw.values())):
        least = max(least, min(1.0, p * (4 - rank)))
        assert corrected == pytest.approx(least)
    # An unpaired test sees nothing: seeds differ by ten times the gain.
    assert (
        stats.ttest_ind(values(found, "fedavg", "ring"), values(found, "alone", "ring")).pvalue
        > 0.5
    )
    assert [(li.group, li.name) for li in result.lines if result.is_better(li)] == [
        ("ring", "fedavg")
    ]
    assert result.sentence.startswith("fedavg with topology ring gains most over alone: +0.1")


def test_nothing_is_claimed_without_a_difference_or_from_one_seed() -> None:
    for found in (rows(bonus=0.0), rows(seeds=1, bonus=1.0)):
        result = answer(found, MEANINGS)
        assert result is not None
        assert result.sentence.startswith("Nothing is better than alone")


def test_lower_is_better_where_the_metric_says_so() -> None:
    found = rows()
    result = answer(found, MEANINGS, Question(metric="loss"))
    assert result is not None
    line = next(li for li in result.lines if (li.group, li.name) == ("ring", "fedavg"))
    assert line.gain is not None
    assert line.gain.mean < 0
    assert result.is_better(line)
    assert line.best == pytest.approx(np.mean(values(found, "fedavg", "ring", "loss.mean")) - 1)


def test_axes_not_shown_pair_runs_and_missing_runs_leave_the_pair() -> None:
    found = rows(extra=("x", "y"))
    gone = found.index(
        next(
            r
            for r in found
            if r["arm"] == "alone" and r["axis.topology"] == "ring" and r["seed"] == 2
        )
    )
    lost = found.pop(gone)
    result = answer(found, MEANINGS)
    assert result is not None
    line = next(li for li in result.lines if (li.group, li.name) == ("ring", "fedavg"))
    by_seed = []
    for seed in range(5):
        pairs = []
        for other in ("x", "y"):
            if (seed, other) == (2, lost["axis.other"]):
                continue
            mine, base = (
                next(
                    r["mrr.mean"] for r in found
                    if (r["arm"], r["axis.topology"], r["axis.other"], r["seed"])
                    == (arm, "ring", other, seed)
                )
                for arm in ("fedavg", "alone")
            )  # fmt: skip
            pairs.append(mine - base)
        by_seed.append(np.mean(pairs))
    assert line.gain is not None
    assert line.gain.mean == pytest.approx(np.mean(by_seed))


def test_any_two_axes_can_be_asked_for() -> None:
    result = answer(rows(), MEANINGS, Question(across="topology", by="arm", baseline="star"))
    assert result is not None
    better = [(li.group, li.name) for li in result.lines if result.is_better(li)]
    assert better == [("fedavg", "ring")]


@pytest.mark.parametrize(
    ("question", "known"),
    [
        (Question(metric="acc"), "mrr, loss"),
        (Question(across="size"), "arm, topology, other"),
        (Question(by="arm"), "topology, other"),
        (Question(baseline="none"), "alone, fedavg, logits"),
    ],
)
def test_unknown_names_are_refused_with_those_that_exist(question: Question, known: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        answer(rows(), MEANINGS, question)
    assert known in str(caught.value)


def test_failed_runs_give_no_answer() -> None:
    assert answer([{"status": "failed", "arm": "a", "seed": 0}], {}) is None


def test_the_answer_says_what_a_score_is_a_mean_of() -> None:
    result = answer(rows(), MEANINGS)
    assert result is not None
    assert result.sample == "n = 3 agents, each measured on up to 200 held-out documents"
    assert result.as_json()["sample"] == result.sample
