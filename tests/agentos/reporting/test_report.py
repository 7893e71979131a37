from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from agentos.records.reader import load_run
from agentos.reporting.report import write_report
from protocols.errors import RecordError

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """A parsed page: tags with their attributes, its scripts, and its visible text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.scripts, self.styles, self.text, self.packed = [], [], [], [], []
        self._in = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in.append("packed" if ("id", "plotly") in attrs else tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in.pop()

    def handle_data(self, data):
        kind = self._in[-1] if self._in else None
        parts = {"script": self.scripts, "style": self.styles, "packed": self.packed}
        parts.get(kind, self.text).append(data)

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    @property
    def plotly(self):
        return gzip.decompress(base64.b64decode("".join(self.packed))).decode()

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def figures(self):
        return json.loads(next(s for s in self.scripts if s.startswith("{")))


@pytest.fixture(scope="module")
def page(ring_run):
    return Page(write_report(ring_run))


def test_report_lies_in_the_run_folder(ring_run):
    assert write_report(ring_run) == ring_run / "report.html"
    assert not list(ring_run.glob(".*.tmp"))


def test_page_requests_nothing(page):
    for attribute in ("src", "href", "action", "data", "poster", "srcset", "background"):
        assert all(value.startswith(("data:", "#")) for value in page.attributes(attribute))
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"@import|url\(", "".join(page.styles))


def test_policy_forbids_requests_and_names_exactly_the_pages_scripts(page):
    policy = next(v for v in page.attributes("content") if "default-src" in v)
    assert policy.startswith("default-src 'none'")
    allowed = set(re.findall(r"'sha256-[^']+'", policy))
    run = [script for script in page.scripts if not script.startswith("{")] + [page.plotly]
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in run)
    assert allowed == {f"'sha256-{digest}'" for digest in digests}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_plotly_comes_once_and_small_and_draws_every_kind_of_trace(page, ring_run):
    assert len(page.packed) == 1
    assert (ring_run / "report.html").stat().st_size < 1_000_000
    assert page.plotly.startswith("/**\n* plotly.js (cartesian")
    kinds = {trace["type"] for figure in page.figures.values() for trace in figure["data"]}
    assert kinds <= {"scatter", "bar", "heatmap", "histogram"}  # what the bundle holds


def test_contents_link_to_the_sections_that_there_are(page):
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "h2"]
    assert [value.removeprefix("#") for value in page.attributes("href")] == sections
    assert {"results", "network", "learning-curves", "configuration"} <= set(sections)
    assert "faults" not in sections


def test_page_answers_the_question_and_shows_the_key_figures(page, ring_run):
    assert (
        "Working together helped: the agents' mean MRR is 0.447 together and 0.414 alone"
        in page.words
    )
    for text in ("anchor_", "15.0 MB", "4.92 M", "2 min 23 s", "ring", "400 optimizer steps"):
        assert text in page.words
    assert "name: six-readers" in page.words


def test_table_shows_every_agent_metric_and_arm(page, ring_run):
    record = load_run(ring_run)
    for name in record.names:
        assert name in page.words
    for title in ("MRR ↑", "Recall@10 ↑", "Alignment ~", "Uniformity ~", "RankMe ~"):
        assert title in page.words
    assert page.words.count("before alone together") == 5
    # What an untrained encoder may do best is no outcome, and has no colour.
    changes = [attrs["class"] for _, attrs in page.tags if "delta" in attrs.get("class", "")]
    assert changes[:8] == (
        ["delta up"] * 2 + ["delta same"] * 3 + ["delta up"] * 2 + ["delta same"]
    )
    assert "n = 6 agents" in page.words
    last = record.summary["agents"]["agent-2"]["mrr"]
    assert f"{last:.3f}" in page.words


def test_every_figure_has_a_place_and_every_place_a_figure(page):
    places = [attrs["id"] for _, attrs in page.tags if attrs.get("class") == "plot"]
    assert sorted(places) == sorted(page.figures)
    assert {"curve-loss", "curve-mrr", "against-bytes", "bytes-by-round", "per-agent"} <= set(
        places
    )


def test_curves_hold_a_line_per_agent_and_a_dashed_one_for_the_baseline(page):
    traces = page.figures["curve-mrr"]["data"]
    solid = [t for t in traces if t["line"]["dash"] == "solid"]
    dashed = [t for t in traces if t["line"]["dash"] == "dash"]
    assert len(solid) == len(dashed) == 6
    assert [t["line"]["color"] for t in solid] == [t["line"]["color"] for t in dashed]
    assert solid[0]["x"] == [0, 2, 4, 6, 8]
    chips = set(page.attributes("data-hides"))
    assert chips == {t["meta"]["agent"] for t in traces} | {"together", "alone"}


def test_quality_against_bytes_starts_at_none_and_ends_at_all(page, ring_run):
    record = load_run(ring_run)
    mean = next(t for t in page.figures["against-bytes"]["data"] if t["visible"])
    assert (mean["x"][0], mean["x"][-1]) == (0, record.ledger.total())
    assert mean["y"][-1] == pytest.approx(record.summary["mean"]["mrr"])


def test_bytes_by_kind_add_up(page, ring_run):
    bars = page.figures["bytes-by-round"]["data"]
    assert {bar["name"]: sum(bar["y"]) for bar in bars} == load_run(ring_run).ledger.by_kind()


def test_picture_of_the_network_is_inline_and_named(page):
    image = next(attrs for tag, attrs in page.tags if tag == "img")
    svg = base64.b64decode(image["src"].partition(",")[2]).decode()
    assert svg.startswith("<svg")
    assert "numpy" in svg
    assert image["alt"] == "6 agents and the 6 edges between them"


def test_hostile_names_and_configurations_stay_text(make_run, tmp_path):
    names = [HOSTILE, "--together", "</script>", "{{ 7 * 7 }}", "$x^2$", "<b>bold</b>"]
    run = make_run(tmp_path / "run", names=names, exchange=HOSTILE)
    config = run / "config.yaml"
    config.write_text(config.read_text() + "\n# </code></pre><script>alert(3)</script>\n")
    page = Page(write_report(run))
    tags = {tag for tag, _ in page.tags}
    assert "alert(3)" in page.words
    assert "{{ 7 * 7 }}" in page.words
    assert not {"b", "iframe"} & tags
    assert not any("alert" in script for script in page.scripts if not script.startswith("{"))
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    drawn = json.dumps(page.figures)
    assert "<b>" not in drawn
    assert "<script>" not in drawn


def test_interrupted_run_without_summary_or_ledger_still_gets_a_report(make_run, tmp_path):
    run = make_run(tmp_path / "run", rounds=3, baseline=False, summary=False)
    (run / "ledger.parquet").unlink()
    page = Page(write_report(run))
    assert "This run did not finish: it reached round 3 of 8" in page.words
    assert "unfinished" in page.words
    assert "Without an isolated baseline" in page.words
    assert "alone" not in page.attributes("data-hides")


def test_run_that_stopped_before_its_first_row_still_gets_a_report(make_run, tmp_path):
    run = make_run(tmp_path / "run", baseline=False, summary=False)
    (run / "metrics.jsonl").write_text("")
    (run / "ledger.parquet").unlink()
    page = Page(write_report(run))
    assert "Nothing was evaluated in this run." in page.words
    assert "Results" not in page.words


def test_report_of_a_crowd_shows_bands_and_the_best_and_worst_agents(make_run, tmp_path):
    run = make_run(tmp_path / "run", topology={"kind": "ring", "hops": 1}, agents=60, rounds=2)
    page = Page(write_report(run))
    assert len(page.figures["curve-mrr"]["data"]) == 3
    assert page.figures["per-agent"]["data"][0]["type"] == "histogram"
    assert "The other 50 agents" in page.words
    mrr = {agent: v["mrr"] for agent, v in load_run(run).summary["agents"].items()}
    best = max(mrr, key=mrr.get)
    first = re.search(r"worst by metric .*? (agent-\d+) ", page.words).group(1)
    assert first == best
    assert not page.attributes("data-hides")


def test_rejected_messages_are_named(make_run, tmp_path):
    page = Page(write_report(make_run(tmp_path / "run", rejected=3)))
    assert "Rejected messages" in page.words
    assert "torch 3 8" in page.words
    assert "3 rejected" in page.words


def test_writing_a_report_again_gives_the_same_bytes(ring_run):
    first = write_report(ring_run).read_bytes()
    assert write_report(ring_run).read_bytes() == first


def test_report_of_no_run_folder_is_refused(tmp_path):
    with pytest.raises(RecordError, match="not a run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize("kind", ["master_slave", "layered", "random_matching", "grid"])
def test_report_draws_every_family(make_run, tmp_path, kind):
    run = make_run(tmp_path / "run", topology={"kind": kind}, agents=6, rounds=1)
    assert load_run(run).network.family.replace("_", "–") in Page(write_report(run)).words
