from __future__ import annotations

import numpy as np
import pytest

from agentos.reporting.panels.profile_timeline import BINS, LANES, coarse, flat, timeline_of
from agentos.runtime.profiling.trace_file import COORDINATOR, Stretch, Timeline


def test_stretches_within_others_are_cut_out() -> None:
    nested = [Stretch("a", 0, 10), Stretch("b", 1, 5), Stretch("c", 2, 3), Stretch("d", 7, 10)]
    pieces = [(p.phase, p.began_s, p.ended_s) for p in flat(nested)]
    assert pieces == [("a", 0, 1), ("b", 1, 2), ("c", 2, 3), ("b", 3, 5), ("a", 5, 7), ("d", 7, 10)]


def test_stretch_that_ends_late_by_rounding_does_not_swallow_the_next() -> None:
    pieces = flat([Stretch("wait", 0, 1.0000001), Stretch("train", 1.0, 3)])
    assert pieces == [Stretch("wait", 0, 1.0), Stretch("train", 1.0, 3)]


def test_many_stretches_are_drawn_as_what_filled_most_of_the_time() -> None:
    edges = np.linspace(0, 60, 10 * BINS + 1)
    pieces = [
        Stretch("train" if index % 10 < 7 else "wait", *edges[index : index + 2])
        for index in range(len(edges) - 1)
    ]
    assert coarse(pieces[:BINS], 60) == pieces[:BINS]
    (drawn,) = coarse(pieces, 60)
    assert drawn.phase == "train"
    assert (drawn.began_s, drawn.ended_s) == pytest.approx((0, 60))


def test_table_sums_hosts_and_coordinator_apart() -> None:
    lanes = {
        COORDINATOR: [Stretch("coordinate", 0, 1), Stretch("wait", 1, 4)],
        "host 0": [Stretch("train", 1, 3), Stretch("wait", 3, 4)],
        "host 1": [Stretch("train", 1, 4), Stretch("unheard of", 4, 6)],
    }
    times = timeline_of(Timeline(lanes))
    rows = {row["phase"]: row for row in times.rows}
    assert list(rows) == ["train", "coordinate", "other", "wait"]
    assert (rows["train"]["hosts_s"], rows["train"]["hosts_share"]) == ("5.000", "62.5%")
    assert (rows["wait"]["coordinator_s"], rows["wait"]["coordinator_share"]) == ("3.000", "75.0%")
    assert rows["train"]["coordinator_s"] == "–"
    assert "clock" not in times.note
    assert "2.0 ms" in timeline_of(Timeline(lanes, clock_error_s=0.002)).note


def test_crowd_of_hosts_is_drawn_in_part() -> None:
    lanes = {f"host {host}": [Stretch("train", 0, 1)] for host in range(LANES + 9)}
    times = timeline_of(Timeline({COORDINATOR: [Stretch("wait", 0, 1)], **lanes}))
    assert times.chart is not None
    assert "9 more hosts" in times.chart.caption
    drawn = {name for trace in times.chart.traces for name in trace["y"]}
    assert len(drawn) == 1 + LANES


def test_nothing_is_shown_without_a_profile() -> None:
    assert timeline_of(None).chart is None
