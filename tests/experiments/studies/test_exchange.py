"""The study of exchanges, from made-up rows to tables: what it computes, and when it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentos.sweep.plan import Planned, plan
from experiments.studies import exchange
from experiments.studies.exchange_results import Study
from experiments.studies.exchange_tables import tables, verdict
from experiments.studies.pareto import draw, front, write_page
from experiments.studies.running import chosen
from protocols.errors import ConfigurationError

QUALITY = {
    ("isolated", "star"): (0.30, 0),
    ("centralised_flops", "star"): (0.50, 0),
    ("fedavg", "star"): (0.42, 50_000_000),
    ("diloco", "star"): (0.44, 50_000_000),
    ("anchor_contrast", "star"): (0.41, 250_000),
    ("anchor_contrast", "ring"): (0.40, 300_000),
}
NOISE = (0.0, 0.004, -0.003, 0.002, -0.001)


def row(arm: str, topology: str, seed: int, **changes: Any) -> dict[str, Any]:
    quality, sent = QUALITY[arm, topology]
    quality += NOISE[seed] * (2 if arm == "diloco" else 1)
    before = 0.2
    return {
        "status": "finished",
        "arm": arm,
        "axis.topology": topology,
        "seed": seed,
        "rounds": 2,
        "acc.mean": quality,
        "acc.worst": quality - 0.1,
        "payload_bytes": sent,
        "tokens": 1000,
        "flops": 2000 if arm == "anchor_contrast" else 1000,
        "curve.round": [0, 1, 2],
        "curve.payload_bytes": [0, sent // 2, sent],
        "curve.tokens": [0, 500, 1000],
        "curve.flops": [0, 1000, 2000] if arm == "anchor_contrast" else [0, 500, 1000],
        "curve.acc.mean": [before, (before + quality) / 2, quality],
        "curve.acc.worst": [before, before, quality - 0.1],
        **changes,
    }


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [row(*key, seed) for key in QUALITY for seed in range(5)]


@pytest.fixture
def study(rows: list[dict[str, Any]]) -> Study:
    return Study.of(rows, "acc")


def test_share_of_the_gap_is_of_paired_seeds(study: Study) -> None:
    contrast = study.arm("anchor_contrast")
    assert contrast is not None
    share = study.closed(contrast)
    assert share is not None
    # Noise is the same in all three, and cancels out: (.41 - .30) / (.50 - .30).
    assert share == pytest.approx((0.55, 0.55, 0.55))


def test_failed_runs_and_seeds_that_lack_a_partner_do_not_count(rows: list[dict[str, Any]]) -> None:
    failed = {**row("isolated", "star", 4), "status": "failed", "acc.mean": None}
    study = Study.of(
        [r for r in rows if (r["arm"], r["seed"]) != ("isolated", 4)] + [failed], "acc"
    )
    alone, contrast = study.arm("isolated"), study.arm("anchor_contrast")
    assert alone is not None
    assert contrast is not None
    assert (sorted(alone.runs), len(contrast.runs)) == ([0, 1, 2, 3], 5)
    assert study.closed(contrast) == pytest.approx((0.55, 0.55, 0.55))


def test_equal_bytes_are_those_of_the_last_evaluation_within_the_budget(study: Study) -> None:
    contrast = study.arm("anchor_contrast")
    assert contrast is not None
    assert contrast.at("acc.mean", "payload_bytes", 250_000) == pytest.approx(0.4104)
    assert contrast.at("acc.mean", "payload_bytes", 200_000) == pytest.approx(0.3052)
    assert contrast.at("acc.mean", "payload_bytes", 1_000) is None


def test_equal_operations_are_interpolated(study: Study) -> None:
    contrast = study.arm("anchor_contrast")
    assert contrast is not None
    # 1,000 of its 2,000 operations: half way from .2 to .41, and half of the mean noise.
    assert contrast.interpolated("acc.mean", "flops", 1000) == pytest.approx(0.3052)
    assert contrast.interpolated("acc.mean", "flops", 1500) == pytest.approx(0.3578)


def test_tables_have_a_row_for_each_arm_and_its_numbers(study: Study) -> None:
    text = tables(study)
    for start in (
        "| anchor_contrast | 0.41",
        "| anchor_contrast | star |",
        "| anchor_contrast | ring |",
    ):
        assert text.count(start) == 1
    assert "| untrained | 0.200 ± 0.000 | 0.200 ± 0.000 |" in text
    star = text[text.index("### star") : text.index("### ring")]
    line = next(line for line in star.splitlines() if "anchor_contrast" in line)
    assert "55% [55%, 55%]" in line
    assert "250 kB | 200.0" in line
    for part in ("### No exchange", "### Mean agent at equal bytes", "50.0 MB (1/1)"):
        assert part in text


def test_verdict_names_the_best_arm_at_a_hundredth_of_the_bytes(study: Study) -> None:
    text = verdict(study)
    assert "anchor_contrast (star) is best" in text
    # .55 of the gap; DiLoCo .1404 / .2, its mean noise being twice that of the others.
    assert "78% of what DiLoCo closes, at 1/200" in text


def test_verdict_gives_no_share_of_a_gap_that_diloco_widens(rows: list[dict[str, Any]]) -> None:
    worse = [{**r, "acc.mean": 0.1} if r["arm"] == "diloco" else r for r in rows]
    text = verdict(Study.of(worse, "acc"))
    assert "DiLoCo closes -" in text
    assert "of what DiLoCo closes" not in text


def test_gate_lets_wide_gaps_pass_and_no_others(rows: list[dict[str, Any]]) -> None:
    assert exchange.gate(Study.of(rows, "acc")).enough
    narrow = [
        {**r, "acc.mean": 0.3 + 0.02 * r["seed"]} if r["arm"] == "centralised_flops" else r
        for r in rows
    ]
    found = exchange.gate(Study.of(narrow, "acc"))
    assert not found.enough
    assert "too little" in exchange.headroom_text(found)
    with pytest.raises(ConfigurationError, match="have failed"):
        exchange.gate(Study.of([r for r in rows if r["arm"] != "isolated"], "acc"))


def test_front_is_what_no_cheaper_arm_equals() -> None:
    assert front([(2, 0.4), (1, 0.4), (3, 0.3), (3, 0.6)]) == [(1, 0.4), (3, 0.6)]
    assert front([]) == []


def test_results_are_written_with_their_command(study: Study, tmp_path: Path) -> None:
    path = exchange.write_results(study, "made-up", "python -m study", tmp_path)
    text = path.read_text()
    assert "`python -m study`" in text
    assert "![Quality against bytes](exchange_made-up.png)" in text
    assert (tmp_path / "exchange_made-up.png").stat().st_size > 10_000


def test_picture_has_a_panel_for_each_topology(study: Study, tmp_path: Path) -> None:
    axes = draw(study, "A picture").axes
    assert [axis.get_title() for axis in axes] == ["star", "ring"]
    assert {axis.get_xscale() for axis in axes} == {"log"}
    write_page(study, "A page", tmp_path / "pareto.html")
    assert "anchor_contrast" in (tmp_path / "pareto.html").read_text()


# The sweep


KNOWN = ("isolated", "isolated_anchors", "centralised", "centralised_flops", "fedavg")


def runs_of(**changes: Any) -> list[Planned]:
    options = {"seeds": 2, "quick": False}
    sweep = exchange.sweep_of("newsgroups=train.parquet", **{**options, **changes})
    return chosen(plan(sweep), KNOWN)


def test_arms_alone_run_in_one_topology_and_the_others_in_four() -> None:
    runs = runs_of()
    text = [(run.arm, run.axes["topology"]) for run in runs if run.seed == exchange.FIRST_SEED]
    assert text == [
        *((arm, "star") for arm in KNOWN[:4]),
        *(("fedavg", topology) for topology in ("star", "ring", "one_peer", "layered")),
    ]


def test_centralised_arms_read_everything_for_as_many_steps_or_operations() -> None:
    runs = {run.arm: run.config for run in runs_of(seeds=1, quick=True)}
    alone, one, equal = (runs[arm] for arm in ("isolated", "centralised", "centralised_flops"))
    assert (one.agents.total, equal.agents.total) == (1, 1)
    assert one.training == alone.training
    assert equal.training.steps == alone.agents.total * alone.training.steps
    assert alone.data.model_copy(update={"partition": one.data.partition}) == one.data


@pytest.mark.parametrize("corpus", ["newsgroups", "docstrings=file", "poems"])
def test_unknown_corpus_is_refused_with_the_known_ones(corpus: str) -> None:
    with pytest.raises(ConfigurationError, match="newsgroups=FILE, docstrings"):
        exchange.sweep_of(corpus, seeds=1, quick=False)


def test_override_changes_the_base_of_all_arms() -> None:
    changed = runs_of(overrides=["training.batch_size=32"])
    assert {run.config.training.batch_size for run in changed} == {32}
