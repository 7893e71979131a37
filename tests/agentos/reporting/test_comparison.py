from __future__ import annotations

import json
import re

import pytest

from agentos.records.reader import load_run
from agentos.reporting.comparison import compare, write_comparison
from protocols.errors import RecordError


@pytest.fixture(scope="module")
def runs(make_run, ring_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    return [
        ring_run,
        make_run(root / "tree", name="tree", topology={"kind": "layered", "branching": 2}, seed=4),
        make_run(root / "cut", name="six-readers", rounds=3, baseline=False, summary=False),
    ]


def figures(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.S).group(1))


def test_rows_hold_what_each_run_came_to(runs):
    rows = compare(runs).rows
    assert [row["run"] for row in rows] == ["six-readers (ring)", "tree", "six-readers (cut)"]
    assert [row["topology"] for row in rows] == ["ring", "layered", "ring"]
    assert [row["rounds"] for row in rows] == [8, 8, 3]
    assert [row["seed"] for row in rows] == [0, 4, 0]
    summary = load_run(runs[1]).summary
    assert rows[1]["mrr.mean"] == summary["mean"]["mrr"]
    assert rows[1]["alignment.worst"] == summary["worst"]["alignment"]
    assert rows[1]["mrr.isolated"] == summary["isolated"]["mean"]["mrr"]
    assert rows[1]["bytes"] == summary["bytes"]["total"]
    assert (rows[2]["mrr.isolated"], rows[2]["wall_s"]) == (None, None)


def test_texts_line_up_with_headings(runs):
    comparison = compare(runs)
    texts = comparison.texts()
    assert {len(row) for row in texts} == {len(comparison.headings)} == {len(comparison.columns)}
    cell = dict(zip(comparison.headings, texts[0], strict=True))
    assert cell["MRR ↑ mean"] == "0.447 ± 0.029"
    assert cell["MRR ↑ alone"] == "0.414"
    assert cell["bytes"] == "15.0 MB"
    assert cell["wall time"] == "2 min 23 s"


@pytest.mark.parametrize("out", ["", "new/folder", "new/page.html"])
def test_page_is_written_where_asked(runs, tmp_path, out):
    path = write_comparison(runs, tmp_path / out)
    assert path == (tmp_path / out if out.endswith(".html") else tmp_path / out / "comparison.html")
    text = path.read_text(encoding="utf-8")
    assert "3 runs compared" in text
    assert "six-readers (cut)" in text


def test_charts_hold_a_line_per_run_and_metric(runs, tmp_path):
    drawn = figures(write_comparison(runs, tmp_path))
    assert len(drawn["against-bytes"]["data"]) == 3 * 5
    shown = [trace["name"] for trace in drawn["against-bytes"]["data"] if trace["visible"]]
    assert shown == ["six-readers (ring)", "tree", "six-readers (cut)"]
    assert drawn["against-bytes"]["layout"]["xaxis"]["rangemode"] == "tozero"
    solid = [t for t in drawn["curve-mrr"]["data"] if t["line"]["dash"] == "solid"]
    assert [trace["x"][-1] for trace in solid] == [8, 8, 3]


def test_a_run_that_exchanged_nothing_is_a_level_line(make_run, runs, tmp_path):
    silent = make_run(tmp_path / "silent", name="silent", exchange="isolated", baseline=False)
    (silent / "ledger.parquet").unlink()
    rows = silent / "metrics.jsonl"
    silenced = [json.loads(line) | {"bytes_sent": 0} for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps(row) + "\n" for row in silenced))
    drawn = figures(write_comparison([runs[0], silent], tmp_path))["against-bytes"]["data"]
    level = next(trace for trace in drawn if trace["name"] == "silent")
    assert level["line"]["dash"] == "dot"
    assert level["x"] == [0, load_run(runs[0]).ledger.total()]
    assert level["y"][0] == level["y"][1]


def test_bytes_far_apart_get_a_logarithmic_axis(make_run, runs, tmp_path):
    big = make_run(tmp_path / "big", topology={"kind": "complete"}, agents=24, rounds=8)
    drawn = figures(write_comparison([runs[0], big], tmp_path))["against-bytes"]
    assert drawn["layout"]["xaxis"]["type"] == "log"
    assert min(x for trace in drawn["data"] for x in trace["x"]) > 0


def test_a_folder_that_is_no_run_is_refused_by_name(runs, tmp_path):
    with pytest.raises(RecordError, match=f"{tmp_path.name} is not a run folder.*hint"):
        compare([runs[0], tmp_path])


def test_nothing_to_compare_is_refused():
    with pytest.raises(RecordError, match="nothing to compare"):
        compare([])


def test_a_page_that_cannot_be_written_is_refused(runs, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="cannot be written"):
        write_comparison(runs[:1], tmp_path / "file" / "page.html")
