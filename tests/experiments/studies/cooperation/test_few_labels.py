"""The studies of few labels and of joint embeddings, from made-up rows to tables and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from scipy import stats

from agentos import RunConfig
from agentos.sweep.config import load_sweep
from agentos.sweep.estimate import estimate
from agentos.sweep.execute import Folder
from agentos.sweep.plan import Planned, plan
from agentos.sweep.worker import write_row
from experiments.studies.cooperation import few_labels, joint_embeddings, lexical_labels
from experiments.studies.cooperation.cell_chart import draw
from experiments.studies.cooperation.paired_lines import Claim, Line, claims_table, table
from experiments.studies.cooperation.program import (
    START_S,
    TOKENS_PER_S,
    Program,
    seconds_left,
    sweep_of,
    words_rows,
)
from experiments.studies.cooperation.study_command import write_results
from experiments.studies.running import chosen
from protocols.errors import ConfigurationError

METRIC = "own_labels_accuracy"
NOISE = (0.0, 0.004, -0.003, 0.002, -0.001)
OWN_NOISE = (0.001, -0.001, 0.002, 0.0, 0.001)
QUALITY = {"self_training": 0.50, "pseudo_labels": 0.60, "fedavg": 0.49, "pooled": 0.70}
CELLS = {"centre": 0.0, "labels_1": -0.2, "labels_8": 0.1}


def row(arm: str, cell: str, seed: int, **changes: Any) -> dict[str, Any]:
    quality = QUALITY[arm] + CELLS[cell] + NOISE[seed]
    if arm != "self_training":
        quality += OWN_NOISE[seed]
    return {
        "status": "finished",
        "arm": arm,
        "axis.cell": cell,
        "seed": seed,
        f"{METRIC}.mean": quality,
        f"{METRIC}.worst": quality - 0.1,
        f"joint_{METRIC}.mean": quality + 0.05,
        f"joint_{METRIC}.worst": quality + 0.05,
        "payload_bytes": 0 if arm == "self_training" else 120_000,
        "tokens": 5_000_000,
        "flops": 3 * 10**12,
        "joint_asked": 5.0,
        "joint_bytes_per_text": 2_000.0,
        "joint_flops_per_text": 6e6,
        **changes,
    }


def rows_of(seeds: int = 5) -> list[dict[str, Any]]:
    return [row(arm, cell, seed) for arm in QUALITY for cell in CELLS for seed in range(seeds)]


def planned_of(program: Program = few_labels.PROGRAM, **options: Any) -> list[Planned]:
    return plan(sweep_of(program, "docstrings", **{"seeds": 1, **options}))


def cells_of(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.split("|")[1:-1]]


# Lines and tables


def test_gain_is_paired_by_seed_and_tested_by_students_t() -> None:
    better = Line.of(rows_of(), METRIC, "pseudo_labels", cell="centre")
    base = Line.of(rows_of(4), METRIC, "self_training", cell="centre")
    assert better is not None
    assert base is not None
    gained = better.gain(base)
    assert gained is not None
    # The fourth seed has no partner; the noise that both share cancels out.
    differences = 0.1 + np.array(OWN_NOISE[:4])
    half = stats.t.ppf(0.975, 3) * differences.std(ddof=1) / 2
    assert gained[0] == pytest.approx((differences.mean(), half))
    statistic = differences.mean() / (differences.std(ddof=1) / 2)
    assert gained[1] == pytest.approx(2 * stats.t.sf(statistic, 3))
    assert Line("other", {9: 0.5}, {9: 0.5}, {}).gain(base) is None


def test_failed_runs_and_other_cells_do_not_count() -> None:
    rows = [*rows_of(2), row("fedavg", "centre", 3, status="failed")]
    line = Line.of(rows, METRIC, "fedavg", cell="centre")
    assert line is not None
    assert sorted(line.mean) == [0, 1]
    assert Line.of(rows, METRIC, "fedavg", cell="agents_2") is None
    assert Line.of(rows, "mrr", "fedavg", cell="centre") is None


def test_asked_line_has_the_joint_metric_and_the_cost_of_all_agents() -> None:
    alone, asked = (
        Line.of(rows_of(), METRIC, arm, cell="centre") for arm in ("fedavg", "fedavg, asked")
    )
    assert alone is not None
    assert asked is not None
    assert asked.mean[0] == pytest.approx(alone.mean[0] + 0.05)
    assert (alone.costs["bytes_per_text"], asked.costs["bytes_per_text"]) == (0.0, 2_000.0)
    # Five asked and the agent itself: six encoders.
    assert (alone.costs["flops_per_text"], asked.costs["flops_per_text"]) == (1e6, 6e6)
    votes = [row("fedavg", "centre", 0, joint_flops_per_text=0.0)]
    uncounted = Line.of(votes, METRIC, "fedavg, asked", cell="centre")
    assert uncounted is not None
    assert uncounted.costs["flops_per_text"] is None


def test_comparison_of_one_seed_is_shown_but_not_tested() -> None:
    lines = {arm: Line.of(rows_of(2), METRIC, arm, cell="centre") for arm in QUALITY}
    once = Line.of(rows_of(1), METRIC, "fedavg", cell="centre")
    base, other = lines["self_training"], lines["pooled"]
    assert base is not None
    assert other is not None
    assert once is not None
    with_once = table([("", base, None), ("", other, base), ("", once, base)])
    without = table([("", base, None), ("", other, base)])
    assert cells_of(with_once, "| fedavg")[3:5] == ["-0.009 ± –", "–"]
    # One comparison fewer to correct for.
    assert cells_of(with_once, "| pooled") == cells_of(without, "| pooled")
    assert claims_table([Claim("", "fedavg", "self_training")], [base, once]) == ""


def test_table_corrects_its_comparisons_for_their_number() -> None:
    lines = [Line.of(rows_of(), METRIC, arm, cell="centre") for arm in QUALITY]
    known = [line for line in lines if line is not None]
    base = known[0]
    text = table([("", line, None if line is base else base) for line in known])
    raw = sorted(gained[1] for line in known[1:] if (gained := line.gain(base)) is not None)
    fedavg = known[2].gain(base)
    assert fedavg is not None
    shown = cells_of(text, "| fedavg")
    # The least sure of three comparisons: Holm multiplies its p by one, but keeps the order.
    expected = max(3 * raw[0], 2 * raw[1], raw[2])
    assert fedavg[1] == raw[2]
    assert shown[4] == (f"{expected:.3f}" if expected >= 0.001 else "< 0.001")
    assert shown[5:8] == ["120 kB", "5.00 M", "3.00e+12"]
    assert cells_of(text, "| self_training")[3:6] == ["–", "–", "0"]
    assert "bytes per text" not in text


def test_claims_hold_are_open_or_turn_round() -> None:
    lines = [
        Line("high", dict(enumerate((0.6, 0.61, 0.62))), {0: 0.5}, {}),
        Line("low", dict(enumerate((0.5, 0.511, 0.519))), {0: 0.5}, {}),
        Line("like high", dict(enumerate((0.59, 0.63, 0.61))), {0: 0.5}, {}),
    ]
    claims = [
        Claim("yes", "high", "low"),
        Claim("no", "low", "high"),
        Claim("who knows", "high", "like high"),
        Claim("not run", "high", "missing"),
    ]
    assert claims_table(claims, lines[:1]) == ""
    text = claims_table(claims, lines)
    outcomes = {
        line.split("|")[1].strip(): line.split("|")[-2].strip() for line in text.splitlines()
    }
    assert outcomes["yes"] == "holds"
    assert outcomes["no"] == "the opposite holds"
    assert outcomes["who knows"] == "open"
    assert "not run" not in outcomes


# Reports and pages


def words_of(seed: int) -> list[dict[str, Any]]:
    place = {"status": "finished", "axis.cell": "centre", "seed": seed}
    return [
        {**place, "arm": arm, f"{METRIC}.mean": 0.55, f"{METRIC}.worst": 0.5}
        for arm in few_labels.WORDS
    ]


def test_report_compares_every_cell_with_its_own_baseline() -> None:
    rows = [*rows_of(), *(each for seed in range(5) for each in words_of(seed))]
    found = few_labels.report(rows, METRIC, planned_of())
    labels = found.sections["Labels of each class"]
    assert [group for group, _, _ in labels if group] == [group for group, _, _ in labels]
    assert list(dict.fromkeys(group for group, _, _ in labels)) == ["1", "3", "8"]
    for _, line, reference in labels:
        if line.name == "pseudo_labels":
            assert reference is not None
            gained = line.gain(reference)
            assert gained is not None
            assert gained[0].mean == pytest.approx(0.1 + np.mean(OWN_NOISE))
    names = [line.name for _, line, _ in found.sections["The centre"]]
    assert names[: len(QUALITY)] == list(QUALITY)
    assert {"words", "words_pooled", "words_vote", "pseudo_labels, asked"} <= set(names)
    # No run of other numbers of agents: no table of them.
    assert "Agents" not in found.sections
    assert [cell for cell, _ in found.panels["labels of each class"]] == ["1", "3", "8"]


def test_page_has_command_claims_picture_and_tables(tmp_path: Path) -> None:
    rows = [*rows_of(), *(each for seed in range(5) for each in words_of(seed))]
    found = few_labels.report(rows, METRIC, planned_of())
    path = write_results(
        few_labels.PROGRAM, found, "docstrings", METRIC, "python -m study", tmp_path
    )
    text = path.read_text()
    assert path.name == "few_labels_docstrings.md"
    for part in ("`python -m study`", "Seeds: 5;", "### Claims", "### The centre", "| 8 | fedavg"):
        assert part in text
    claim = few_labels.CLAIMS[0]
    assert cells_of(text, f"| {claim.text} |")[-1] == "holds"
    assert (tmp_path / "few_labels_docstrings.png").stat().st_size > 10_000
    other = write_results(few_labels.PROGRAM, found, "docstrings", "f1", "it", tmp_path)
    assert other.name == "few_labels_docstrings_f1.md"
    assert "### Claims" not in other.read_text()


def test_report_of_joint_embeddings_takes_the_first_line_for_reference(tmp_path: Path) -> None:
    arms = {"all": 0.25, "own_ensemble": 0.3, "neighbours": 0.3, "own_ensemble_of_4": 0.29}
    arms |= {"wide": 0.28, "all_2": 0.3, "own_ensemble_2": 0.31}
    rows = [
        {
            **row("fedavg", "centre", seed),
            "arm": arm,
            "probe_accuracy.mean": quality + NOISE[seed],
            "probe_accuracy.worst": quality - 0.02,
            "joint_probe_accuracy.mean": quality + 0.15 + NOISE[seed],
            "joint_probe_accuracy.worst": quality + 0.1,
        }
        for arm, quality in arms.items()
        for seed in range(3)
    ]
    found = joint_embeddings.report(rows, "probe_accuracy", [])
    four = found.sections["Four agents"]
    reference = four[0][1]
    assert (reference.name, four[0][2]) == ("all", None)
    assert all(base is reference for _, _, base in four[1:])
    assert [line.name for _, line, _ in found.sections["Two agents"]] == [
        *("all_2", "all_2, asked", "own_ensemble_2, asked")
    ]
    assert "Eight agents" not in found.sections
    text = write_results(
        joint_embeddings.PROGRAM, found, "newsgroups", "probe_accuracy", "it", tmp_path
    ).read_text()
    text = text[: text.index("### Two agents")]
    assert cells_of(text, "| all, asked")[3] == "+0.150 ± 0.000"
    assert cells_of(text, "| all, asked")[-2:] == ["2.00 kB", "6.00e+06"]


# Sweeps


def test_every_cell_differs_from_the_centre_in_one_field() -> None:
    runs = {
        run.axes["cell"]: run.config.resolved()
        for run in planned_of()
        if run.arm == "self_training"
    }
    centre = runs.pop("centre")
    assert len(runs) == 11
    for cell, config in runs.items():
        changed = {key for key in centre if key != "name" and config[key] != centre[key]}
        assert len(changed) == 1, cell
        assert (
            cell.partition("_")[0]
            in {
                "data": ("labels", "classes"),
                "agents": ("agents", "encoders"),
                "topology": ("topology",),
            }[changed.pop()]
        )


def test_arms_differ_in_exchange_or_labels_alone() -> None:
    centre = [run for run in planned_of() if run.axes["cell"] == "centre"]
    assert {run.arm for run in centre} == set(load_sweep(few_labels.PROGRAM.sweep).arms)
    base = next(run.config for run in centre if run.arm == "self_training")
    for run in centre:
        apart = {"name", "exchange", "data"} if run.arm == "pooled" else {"name", "exchange"}
        ours, others = run.config.resolved(), base.resolved()
        assert {key for key in ours if ours[key] != others[key]} <= apart
    pooled = next(run.config for run in centre if run.arm == "pooled")
    assert pooled.exchange == base.exchange


@pytest.mark.parametrize("corpus", ["docstrings", "newsgroups=train.parquet"])
def test_number_of_classes_is_that_of_the_text(corpus: str) -> None:
    classes = few_labels.TEXTS[corpus.partition("=")[0]].classes
    for run in plan(sweep_of(few_labels.PROGRAM, corpus, seeds=1)):
        (labelled,) = [each for each in run.config.objectives if each.kind == "labelled"]
        assert getattr(labelled, "classes", 0) == classes
        assert {part.wants_own_labels for part in run.config.exchange.parts} <= {0, classes}


def test_study_is_narrowed_by_arm_cell_and_kind_of_cell() -> None:
    runs = planned_of()
    some = chosen(runs, ["labels", "agents_2", "fedavg"])
    assert {run.arm for run in some} == {"fedavg"}
    assert {run.axes["cell"] for run in some} == {"labels_1", "labels_8", "labels_32", "agents_2"}
    assert chosen(runs, []) == runs
    with pytest.raises(ConfigurationError, match="no arm or cell poems"):
        chosen(runs, ["poems"])


def test_references_of_joint_embeddings_are_as_wide_or_as_dear() -> None:
    runs = {run.arm: run.config for run in planned_of(joint_embeddings.PROGRAM)}
    for arm, copies in (("own_ensemble", 3), ("own_ensemble_of_4", 4), ("own_ensemble_8", 3)):
        config = runs[arm]
        assert config.agents.total == copies * (8 if arm.endswith("8") else 4)
        assert config.data.partition.model_dump()["copies"] == copies
    assert runs["centralised"].training.steps == 4 * runs["all"].training.steps
    assert runs["centralised"].agents.total == runs["centralised_wide"].agents.total == 1
    assert runs["wide"].agents.total == runs["all"].agents.total


# Costs and lexical models


def test_time_left_is_scaled_by_the_runs_that_have_finished(tmp_path: Path) -> None:
    runs = planned_of()[:3]
    expected = [START_S + estimate(run.config).tokens / TOKENS_PER_S for run in runs]
    assert seconds_left(Folder(tmp_path, runs), runs) == pytest.approx(sum(expected))
    folder = Folder(tmp_path, runs)
    write_row(folder.of(runs[0]), {"status": "finished", "wall_s": 2 * expected[0]})
    left = seconds_left(Folder(tmp_path, runs), runs)
    assert left == pytest.approx(2 * sum(expected[1:]))


def test_words_of_a_finished_run_are_counted_once(tmp_path: Path) -> None:
    runs = planned_of()
    done = next(run for run in runs if run.arm == "self_training")
    write_row(Folder(tmp_path, runs).of(done), {"status": "finished", "wall_s": 1.0})
    asked: list[RunConfig] = []

    def words(config: RunConfig) -> list[dict[str, Any]]:
        asked.append(config)
        return [{"arm": "words", f"{METRIC}.mean": 0.5}]

    program = Program(**{**vars(few_labels.PROGRAM), "words": words})
    first = words_rows(program, Folder(tmp_path, runs))
    assert words_rows(program, Folder(tmp_path, runs)) == first
    assert asked == [done.config]
    assert first == [
        {
            "status": "finished",
            "seed": done.seed,
            "axis.cell": "centre",
            "arm": "words",
            f"{METRIC}.mean": 0.5,
        }
    ]


def test_lexical_model_finds_the_class_of_shared_words_and_knows_no_other() -> None:
    def found(labelled: Sequence[str], labels: Sequence[str]) -> list[list[float]]:
        tests = ["a red apple", "the engine stalled"]
        text = [*labelled, *tests]
        names = ["cars", "fruit", "poems"]
        values = lexical_labels.probabilities(text, labelled, labels, tests, names)
        return [[float(value) for value in each] for each in values]

    both = found(["apple and pear", "engine and wheel"], ["fruit", "cars"])
    assert both[0][1] > 0.5 > both[0][0]
    assert both[1][0] > 0.5 > both[1][1]
    assert [each[2] for each in both] == [0, 0]
    assert found(["apple and pear", "plum"], ["fruit", "fruit"]) == [[0, 1, 0], [0, 1, 0]]


def test_lexical_rows_are_of_the_agents_own_labels(small: Callable[..., RunConfig]) -> None:
    values = small().resolved()["data"]
    config = small(
        data={**values, "private_labels": {"per_class": 1}},
        objectives=["info_nce", {"kind": "labelled", "classes": 4}],
        evaluation={"tasks": ["own_labels"], "documents": 40},
    )
    rows = {row["arm"]: row for row in lexical_labels.label_rows(config)}
    assert list(rows) == ["words", "words_vote", "words_pooled"]
    for arm, each in rows.items():
        worst, mean = each[f"{METRIC}.worst"], each[f"{METRIC}.mean"]
        assert 0 <= worst <= mean <= 1
        assert (worst == mean) or arm == "words"


def test_chart_has_a_panel_for_each_family_and_no_bar_for_a_single_seed() -> None:
    lines = {seeds: few_labels.lines_of(rows_of(seeds), METRIC, "centre") for seeds in (1, 5)}
    figure = draw({"one": [("3", lines[1])], "five": [("3", lines[5])]}, METRIC, "A title")
    assert [axis.get_title() for axis in figure.axes] == ["one", "five"]
    assert len(figure.legends) == 1
    spans = [
        [part.get_segments()[0] for part in axis.collections if isinstance(part, LineCollection)]
        for axis in figure.axes
    ]
    assert all(np.ptp(segment[:, 1]) == 0 for segment in spans[0])
    assert all(0 < np.ptp(segment[:, 1]) < 0.1 for segment in spans[1])
    assert len(spans[0]) == len(lines[1])


def test_interval_wider_than_a_share_can_be_does_not_stretch_the_chart() -> None:
    wide = Line("wide", {0: 0.1, 1: 0.9}, {0: 0.1, 1: 0.9}, {})
    (axis,) = draw({"two": [("3", [wide])]}, METRIC, "A title").axes
    assert axis.get_ylim() == (0.0, 1.0)
