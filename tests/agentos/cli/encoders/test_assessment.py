"""Evaluation of encoders on disk: those that a run exported, or a model."""

from __future__ import annotations

import json

import pytest

from agentos.cli.encoders.assessment import Request, assessed, parse_task
from agentos.config.field_errors import InvalidConfiguration
from agentos.evaluation import HeldOut
from agentos.evaluation.assess import TrainingText
from agentos.evaluation.centering import MapFitter
from protocols.errors import ConfigurationError, DataError, ModelError, RecordError


@pytest.fixture(scope="session")
def run(small, cache, tmp_path_factory):
    """A short run of four agents, with its cache where `assessed` finds it."""
    from agentos import Simulation

    out = tmp_path_factory.mktemp("assessed") / "run"
    config = small(
        training={"rounds": 1, "local_steps": 2, "batch_size": 12, "max_length": 16},
        baseline={"isolated": False},
        evaluation={"tasks": ["retrieval", "probe", "geometry"], "documents": 40},
    )
    return Simulation(config, out=out, cache=cache).run()


@pytest.fixture(autouse=True)
def _same_cache(cache, monkeypatch):
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))


@pytest.fixture
def documents(tmp_path):
    path = tmp_path / "documents.jsonl"
    lines = [
        {
            "text": f"{'wave tide ship' if i % 2 else 'field wheat barn'} {i} a the {i} of a the",
            "label": i % 2,
        }
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_exported_encoders_measure_as_they_did_in_the_run(run):
    found = assessed(Request(str(run.directory), []))
    assert list(found.encoders) == [f"agent-{i}" for i in range(4)]
    for name, tasks in found.encoders.items():
        flat = {key: value for metrics in tasks.values() for key, value in metrics.items()}
        assert flat == pytest.approx(run.agents[name], abs=1e-5)
    assert (found.labelled, found.documents) == (True, 40)


def test_agents_tasks_and_data_can_be_chosen(run, documents):
    encoder = run.directory / "encoders" / "agent-1"
    asked = ["probe:max_documents=30", "knn:k=3"]
    found = assessed(Request(str(run.directory), asked, data=str(documents), agents=[1, 3]))
    assert list(found.encoders) == ["agent-1", "agent-3"]
    assert list(found.encoders["agent-1"]) == asked
    alone = assessed(Request(str(encoder), asked, data=str(documents)))
    assert alone.encoders["agent-1"] == found.encoders["agent-1"]
    assert list(assessed(Request(str(encoder), [], data=str(documents))).metrics) == [
        "probe",
        "knn",
        "clustering",
        "geometry",
    ]
    json.dumps(found.as_json(), allow_nan=False)


def test_stored_mean_is_measured_beside_plain_embeddings(run, documents):
    found = assessed(Request(str(run.directory), ["knn:k=3", "geometry"], data=str(documents)))
    names = [metric.name for metric in found.metrics["knn:k=3"]]
    assert names == ["knn_accuracy", "centered_knn_accuracy"]
    for tasks in found.encoders.values():
        assert [*tasks["knn:k=3"]] == names
        assert not any("centered" in name for name in tasks["geometry"])


def test_mean_and_whitening_are_fitted_on_other_text_where_it_is_named(run, documents, tmp_path):
    target = str(run.directory / "encoders" / "agent-0")
    found = {
        center_on: assessed(
            Request(target, ["knn"], str(documents), center_on=center_on, whiten=True, width=5)
        )
        for center_on in (str(run.directory), _file(tmp_path / "other.csv", "moon comet", 60))
    }
    scores = [each.encoders["agent-0"]["knn"] for each in found.values()]
    for each in scores:
        assert [*each] == ["knn_accuracy", "centered_knn_accuracy", "whitened_knn_accuracy"]
    assert scores[0]["knn_accuracy"] == scores[1]["knn_accuracy"]


def _file(path, words, count):
    path.write_text(
        "text\n" + "".join(f"{words} {i} {'and more ' * (i % 5)}\n" for i in range(count))
    )
    return str(path)


def test_text_that_is_evaluated_on_is_never_fitted_on(run, documents, monkeypatch):
    target = str(run.directory / "encoders" / "agent-0")
    with pytest.raises(ConfigurationError, match="0 of 40") as caught:
        assessed(Request(target, ["knn"], str(documents), center_on=str(documents)))
    assert "--center-on" in caught.value.hint
    heldout = HeldOut(("one", "two"))
    fitter = MapFitter(True, None, 3)
    drawn = TrainingText(("one", "three", "four", "five", "six", "two", "six"), fitter)
    texts = drawn.drawn(heldout, seed=0).texts
    assert len(texts) == 3
    assert {*texts} < {"three", "four", "five", "six"}


@pytest.mark.parametrize("fields", [{"whiten": True}, {"width": 4}])
def test_whitening_without_text_or_a_width_without_whitening_is_refused(run, fields):
    with pytest.raises(ConfigurationError) as caught:
        assessed(Request(str(run.directory), ["retrieval"], **fields))
    assert caught.value.hint


def test_a_model_takes_the_held_out_text_of_a_run(run):
    encoder = run.directory / "encoders" / "agent-2"
    found = assessed(Request(str(encoder), ["retrieval"], data=str(run.directory)))
    assert found.encoders["agent-2"]["retrieval"]["mrr"] == pytest.approx(
        run.agents["agent-2"]["mrr"], abs=1e-5
    )


def test_two_files_of_one_kind_are_reported_apart(run, tmp_path):
    for name in ("a", "b"):
        rows = [
            {"sentence1": "wave", "sentence2": f"tide {name} {i}", "score": i} for i in range(5)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [f"sts:{tmp_path / name}.jsonl" for name in ("a", "b")]
    found = assessed(Request(str(run.directory), asked, agents=[0]))
    assert list(found.encoders["agent-0"]) == asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("probe", {"kind": "probe"}),
        ("knn:k=5,max_documents=50", {"k": 5, "max_documents": 50}),
        ("sts:a/b.csv,score=similarity", {"path": "a/b.csv", "score": "similarity"}),
        ("retrieval:scifact", {"path": "scifact"}),
    ],
)
def test_tasks_are_read_from_the_command_line(text, expected):
    assert expected.items() <= parse_task(text).model_dump().items()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sts:a,b.csv", "a,b.csv"),
        ("sts:a, [1] {2}.csv,score=grade", "a, [1] {2}.csv"),
        ('sts:path="a,score=b.csv",score=grade', "a,score=b.csv"),
        ("sts:score=grade,path=a,b.csv", "a,b.csv"),
        ("sts:dir=1/b.csv", None),
        ("sts:a #1.csv", "a #1.csv"),
    ],
)
def test_path_of_a_task_may_hold_commas_and_brackets(text, path):
    if path is None:
        with pytest.raises(InvalidConfiguration, match="dir"):
            parse_task(text)
    else:
        assert parse_task(text).path == path


@pytest.mark.parametrize(
    ("text", "told"),
    [("prob", "unknown kind"), ("knn:kk=5", "unknown key"), ("sts", "required"), ("knn:k=0", "k")],
)
def test_unknown_tasks_and_parameters_are_refused(text, told):
    with pytest.raises(InvalidConfiguration, match=told):
        parse_task(text)


def test_unusable_arguments_are_refused(run, tmp_path, documents):
    encoder = str(run.directory / "encoders" / "agent-0")
    with pytest.raises(ConfigurationError, match="no documents are named"):
        assessed(Request(encoder, ["probe"]))
    with pytest.raises(ConfigurationError, match="no encoder of agent 9"):
        assessed(Request(str(run.directory), ["probe"], agents=[9]))
    (tmp_path / "config.yaml").write_text((run.directory / "config.yaml").read_text())
    with pytest.raises(RecordError, match="no exported encoder"):
        assessed(Request(str(tmp_path), ["probe"]))
    with pytest.raises(ConfigurationError, match="masked language-model head"):
        assessed(Request(encoder, ["masked_accuracy"], data=str(documents)))
    with pytest.raises(DataError, match="no file"):
        assessed(Request(encoder, ["probe"], data=str(tmp_path / "none.csv")))
    with pytest.raises(ModelError):
        assessed(Request(str(tmp_path / "no-such-model"), ["geometry"], data=str(documents)))
    documents.write_text('{"text": "one", "label": 1}\n{"text": "two"}\n')
    with pytest.raises(DataError, match="some have none"):
        assessed(Request(encoder, ["probe"], data=str(documents)))


@pytest.mark.parametrize("named", ["target", "data"])
def test_held_out_text_that_changed_since_the_run_is_refused_unless_it_may(
    named, run, monkeypatch, caplog
):
    from agentos.data.corpus import Corpus

    texts = Corpus.texts
    monkeypatch.setattr(Corpus, "texts", lambda self, rows: [f"{t} ?" for t in texts(self, rows)])
    folder = str(run.directory)
    target, data = (folder, None) if named == "target" else (f"{folder}/encoders/agent-0", folder)
    with pytest.raises(DataError, match="no longer what it read") as caught:
        assessed(Request(target, ["geometry"], data))
    assert "the held-out documents" in caught.value.actual
    assert assessed(Request(target, ["geometry"], data, changed_data_ok=True)).documents == 40
    assert "no longer what it read" in caplog.text


def test_task_may_be_a_class_of_ones_own_that_is_trusted(tmp_path, monkeypatch):
    code = "from agentos.evaluation import Geometry\nfrom typing import Literal\nclass Shape(Geometry):\n"
    (tmp_path / "tasks_of_mine.py").write_text(f"{code}    kind: Literal['shape'] = 'shape'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidConfiguration, match="--trust-plugins tasks_of_mine"):
        parse_task("tasks_of_mine:Shape")
    task = parse_task("tasks_of_mine:Shape,documents=7", ["tasks_of_mine"])
    assert (type(task).__name__, task.kind, task.documents) == ("Shape", "shape", 7)
