from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentos.evaluation import Metric, Probe
from agentos.records.atomic_files import plain
from agentos.records.metrics_log import MetricsLog
from agentos.records.reader import RecordedNetwork, load_run
from agentos.records.recorder import Recorder
from agentos.records.result import Quality
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.topologies import TOPOLOGIES

CONFIG = "name: small\nseed: 3\ntopology: {kind: layered}\n"
NAMES = ["numpy", "torch", "scipy"]
MRR = Metric(name="mrr", higher_is_better=True, help="Up.")
LOSS = Metric(name="align", higher_is_better=False, help="Down.")


@pytest.fixture
def network():
    return TOPOLOGIES["layered"]().build(agents=3, seed=0)


@pytest.fixture
def recorder(tmp_path, network):
    with Recorder(tmp_path / "run") as recorder:
        recorder.start(CONFIG, network, NAMES, Probe.metrics)
        yield recorder


@pytest.fixture
def no_board(monkeypatch):
    """Leave TensorBoard out, where a test is about something else."""
    monkeypatch.setattr("agentos.records.metrics_log.MetricsLog._mirror", lambda *_: None)


def test_round_trip_of_everything(recorder, network):
    ledger = Ledger()
    ledger.record(1, 0, 0, 1, "embeddings", 2**40)
    ledger.record(1, 1, 1, 0, "weights", 7)
    recorder.round(0, [{"agent": i, "probe_accuracy": 0.1 * i} for i in range(3)])
    recorder.round(1, [{"agent": "agent-1", "loss": np.float32(0.5), "tokens": np.int64(9)}])
    recorder.baseline().round(1, [{"agent": 2, "loss": 0.25}])
    recorder.ledger(ledger)
    recorder.summary({"name": "small", "status": "finished", "mean": {"mrr": float("inf")}})

    record = load_run(recorder.directory)
    assert record.config == {"name": "small", "seed": 3, "topology": {"kind": "layered"}}
    assert record.config_text == CONFIG
    assert record.names == tuple(NAMES)
    assert record.environment["packages"]["numpy"] == np.__version__
    for field in ("agents", "family", "edges", "roles", "levels", "arrangement"):
        assert getattr(record.network, field) == getattr(network, field)
    assert tuple(record.meanings.values()) == Probe.metrics
    assert len(record.metrics) == 4
    assert record.metrics[3] == {"round": 1, "agent": "agent-1", "loss": 0.5, "tokens": 9}
    assert record.isolated == [{"round": 1, "agent": "agent-2", "loss": 0.25}]
    assert record.ledger.rows() == ledger.rows()
    assert record.summary == {"name": "small", "status": "finished", "mean": {"mrr": None}}


def test_load_right_after_start_gives_an_empty_run(recorder):
    record = load_run(recorder.directory)
    assert (record.metrics, record.ledger, record.summary, record.isolated) == (
        [],
        None,
        None,
        None,
    )


def test_metrics_are_on_disk_before_the_recorder_is_closed(recorder, no_board):
    recorder.round(1, [{"agent": 0, "loss": 1.0}])
    assert len((recorder.directory / "metrics.jsonl").read_text().splitlines()) == 1


def test_metrics_lines_do_not_depend_on_the_order_of_keys(tmp_path, network, no_board):
    lines = []
    for name, keys in (("a", ["loss", "bytes_sent", "mrr"]), ("b", ["mrr", "loss", "bytes_sent"])):
        recorder = Recorder(tmp_path / name)
        recorder.start(CONFIG, network, NAMES)
        recorder.round(2, [dict.fromkeys(keys, 1.5) | {"agent": 1, "round": 2}])
        lines.append((recorder.directory / "metrics.jsonl").read_text())
    expected = '{"round": 2, "agent": "agent-1", "bytes_sent": 1.5, "loss": 1.5, "mrr": 1.5}\n'
    assert lines == [expected, expected]


@settings(max_examples=40)
@given(
    st.recursive(
        st.floats() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_plain_values_are_strict_json_and_keep_finite_numbers(value):
    text = json.dumps(plain(value), allow_nan=False)
    if isinstance(value, float) and not math.isfinite(value):
        assert text == "null"
    elif isinstance(value, (float, int, str)):
        assert json.loads(text) == value


def test_numbers_that_are_not_finite_become_null(recorder, no_board):
    recorder.round(1, [{"agent": 0, "loss": float("nan"), "mrr": np.float32("inf")}])
    assert load_run(recorder.directory).metrics[0] == {
        "round": 1,
        "agent": "agent-0",
        "loss": None,
        "mrr": None,
    }


def test_tensorboard_shows_both_arms_by_agent_and_mean(recorder):
    recorder.round(1, [{"agent": 0, "loss": 1.0}, {"agent": 1, "loss": 2.0}])
    recorder.baseline().round(1, [{"agent": 0, "loss": 3.0}])
    recorder.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    curves = {}
    for arm in ("together", "isolated"):
        (file,) = (recorder.directory / "tensorboard" / arm).iterdir()
        assert ".agentos." in file.name  # where TensorBoard puts the name of the machine
        events = EventAccumulator(str(recorder.directory / "tensorboard" / arm)).Reload()
        for tag in events.Tags()["scalars"]:
            curves[arm, tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    assert curves == {
        ("together", "loss/mean"): [(1, 1.5)],
        ("together", "loss/agent-0"): [(1, 1.0)],
        ("together", "loss/agent-1"): [(1, 2.0)],
        ("isolated", "loss/mean"): [(1, 3.0)],
        ("isolated", "loss/agent-0"): [(1, 3.0)],
    }


def test_tensorboard_hides_the_rounds_that_a_resumed_run_takes_again(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "board")
    for round in (1, 2, 3):
        log.round(round, [{"agent": 0, "loss": float(round)}])
    log.rewind(1)
    log.round(2, [{"agent": 0, "loss": 20.0}])
    log.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("loss/mean")
    assert [(event.step, event.value) for event in events] == [(1, 1.0), (2, 20.0)]


def test_an_empty_ledger_is_kept(recorder):
    recorder.ledger(Ledger())
    assert load_run(recorder.directory).ledger.total() == 0


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path, network):
    (tmp_path / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):  # not a run folder: never overwritten
        with pytest.raises(RecordError, match=r"not empty.*thesis\.txt.*hint: .*--out"):
            Recorder(tmp_path, overwrite=overwrite).start(CONFIG, network, NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_earlier_run_is_refused_unless_overwritten(recorder, network, no_board):
    recorder.round(1, [{"agent": 0, "loss": 1.0}])
    recorder.baseline().round(1, [{"agent": 0, "loss": 1.0}])
    recorder.summary({})
    with pytest.raises(RecordError, match="not empty"):
        Recorder(recorder.directory).claim()
    again = Recorder(recorder.directory, overwrite=True)
    again.start("name: again", network, NAMES)
    record = load_run(again.directory)
    assert record.config == {"name": "again"}
    assert (record.metrics, record.summary, record.isolated) == ([], None, None)


def test_claiming_before_starting_is_allowed(tmp_path, network):
    recorder = Recorder(tmp_path / "deep" / "run")
    recorder.claim()
    recorder.start(CONFIG, network, NAMES)
    assert load_run(recorder.directory).names == tuple(NAMES)


def test_a_folder_that_cannot_be_made_is_named(tmp_path, network):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match=r"file.run.*hint: choose another folder"):
        Recorder(tmp_path / "file" / "run").start(CONFIG, network, NAMES)


def test_a_folder_that_vanishes_in_mid_run_is_named(recorder, no_board):
    (recorder.directory / "metrics.jsonl").unlink()
    (recorder.directory / "metrics.jsonl").mkdir()
    with pytest.raises(RecordError, match=r"cannot be written to .*metrics\.jsonl"):
        recorder.round(1, [{"agent": 0, "loss": 1.0}])


def test_names_that_do_not_fit_the_network_are_refused(tmp_path, network):
    with pytest.raises(RecordError, match="expected: 3"):
        Recorder(tmp_path).start(CONFIG, network, ["one"])


def test_a_failed_write_leaves_the_old_file_and_no_draft(recorder):
    recorder.summary({"round": 1})
    with pytest.raises(TypeError):
        recorder.summary({"round": object()})
    assert load_run(recorder.directory).summary == {"round": 1}
    assert not list(recorder.directory.glob(".*.tmp"))


def test_a_torn_last_line_is_left_out(recorder, no_board):
    recorder.round(1, [{"agent": i, "loss": 1.0} for i in range(3)])
    path = recorder.directory / "metrics.jsonl"
    path.write_text(path.read_text()[:-9])
    assert len(load_run(recorder.directory).metrics) == 2


def test_a_whole_last_line_without_its_line_break_is_kept(recorder, no_board):
    recorder.round(1, [{"agent": 0, "loss": 1.0}])
    path = recorder.directory / "metrics.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    assert len(load_run(recorder.directory).metrics) == 1


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"round": 1}', '{"round": "1", "agent": "agent-0"}', ""]
)
def test_a_damaged_line_is_named_by_its_number(recorder, line):
    path = recorder.directory / "metrics.jsonl"
    path.write_text('{"round": 0, "agent": "agent-0"}\n' + line + "\n")
    with pytest.raises(RecordError, match=r"metrics\.jsonl is damaged.*line 2.*hint"):
        load_run(recorder.directory)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "a: [1"),
        ("config.yaml", "just text"),
        ("environment.json", "{"),
        ("network.json", "[]"),
        ("network.json", '{"agents": 3}'),
        ("network.json", '{"agents": 2, "family": "peer", "arrangement": "free", "edges": [[0, 1]],'
         ' "roles": ["peer"], "levels": [0, 0], "names": ["a", "b"]}'),
        ("evaluation.json", '{"metrics": [{"name": "x"}]}'),
        ("summary.json", "not json"),
        ("ledger.parquet", "PAR1 but not really"),
        ("isolated/metrics.jsonl", "{\n"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_hint(recorder, name, content):
    path = recorder.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(RecordError, match=r"hint: restore") as caught:
        load_run(recorder.directory)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["environment.json", "network.json", "metrics.jsonl"])
def test_a_missing_file_is_named_with_its_hint(recorder, name):
    (recorder.directory / name).unlink()
    with pytest.raises(RecordError, match=f"has no {name}.*hint: "):
        load_run(recorder.directory)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"not a run folder.*no config\.yaml"):
        load_run(tmp_path)
    with pytest.raises(RecordError, match="no such folder"):
        load_run(tmp_path / "nothing")


def test_a_run_without_evaluation_file_knows_the_shipped_metrics(recorder):
    (recorder.directory / "evaluation.json").unlink()
    assert load_run(recorder.directory).meanings["alignment"].higher_is_better is False


def test_a_recorded_network_has_figures_but_no_hops(recorder):
    network = load_run(recorder.directory).network
    assert isinstance(network, RecordedNetwork)
    assert (network.diameter, network.hops(0)) == (2, ())


def test_summary_takes_the_worst_by_each_metrics_direction():
    agents = {
        "agent-0": {"mrr": 0.5, "align": 2.0, "loss": 9.0},
        "agent-1": {"mrr": 0.1, "align": 1.0},
    }
    quality = Quality.of(agents, [MRR, LOSS])
    assert quality.mean == pytest.approx({"mrr": 0.3, "align": 1.5})
    assert quality.worst == {"mrr": 0.1, "align": 2.0}
    assert quality.agents == agents


def test_summary_leaves_out_agents_that_lack_a_metric():
    agents = {"agent-0": {"mrr": 0.5}, "agent-1": {"mrr": float("nan")}, "agent-2": {}}
    quality = Quality.of(agents, [MRR, LOSS])
    assert quality.mean == {"mrr": 0.5}
    assert quality.agents["agent-1"] == {}
    assert Quality.of({}, [MRR]) == Quality()
