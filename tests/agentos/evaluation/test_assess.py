from __future__ import annotations

import json

import numpy as np
import pytest

from agentos.evaluation import KNN, Evaluator, Geometry, HeldOut, Retrieval
from agentos.evaluation.assess import Documents, assess, default_tasks, exported_encoders
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, RecordError

WORDS = ("ant", "bee", "cat")
LABELLED = HeldOut(
    tuple(f"{WORDS[i % 3]} text number {i} of several words in a row" for i in range(30)),
    tuple(WORDS[i % 3] for i in range(30)),
)


def embed(texts):
    return np.array([[len(t), t.count("a"), t.count("e"), 1.0] for t in texts], dtype=np.float32)


def test_every_encoder_gets_the_scores_of_every_task():
    tasks = {"few": KNN(k=1), "many": KNN(k=5)}
    encoders = [(name, FunctionEncoder(embed)) for name in ("one", "two")]
    found = assess(encoders, tasks, Documents(LABELLED, "here"), seed=2)
    assert (found.data, found.documents, found.labelled, found.seed) == ("here", 30, True, 2)
    assert list(found.encoders) == ["one", "two"]
    for name, task in tasks.items():
        alone = Evaluator((task,), LABELLED, 2)(FunctionEncoder(embed))
        assert found.encoders["one"][name] == found.encoders["two"][name] == alone
        assert found.metrics[name] == task.metrics
    json.dumps(found.as_json(), allow_nan=False)


def test_unsuitable_documents_are_refused_before_an_encoder_is_loaded():
    def loading():
        raise AssertionError("loaded")
        yield

    with pytest.raises(ConfigurationError, match="retrieval"):
        assess(loading(), {"retrieval": Retrieval()}, Documents(LABELLED, "here"), seed=0)


def test_default_tasks_are_those_that_the_documents_allow():
    assert list(default_tasks(LABELLED)) == ["probe", "knn", "clustering", "geometry"]
    assert default_tasks(HeldOut(LABELLED.texts)) == {"geometry": Geometry()}


def test_exported_encoders_are_found_by_agent(tmp_path):
    with pytest.raises(RecordError, match="no exported encoder"):
        exported_encoders(tmp_path, [])
    for name in ("agent-10", "agent-2", "agent-x"):
        (tmp_path / "encoders" / name).mkdir(parents=True)
    assert list(exported_encoders(tmp_path, [])) == ["agent-2", "agent-10"]
    assert list(exported_encoders(tmp_path, [10])) == ["agent-10"]
    with pytest.raises(ConfigurationError, match="no encoder of agent 3") as caught:
        exported_encoders(tmp_path, [3])
    assert caught.value.expected == "one of 2, 10"
