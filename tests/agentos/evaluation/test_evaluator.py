from __future__ import annotations

import pickle
from typing import ClassVar, Literal

import numpy as np
import pytest

from agentos.evaluation import TASKS, Evaluator, Geometry, HeldOut, Metric, Retrieval, Task
from agentos.evaluation.base import unit_rows
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, DataError, TrainingError

TEXTS = tuple(f"summary of document {i}\nits body has the words {i} and {i * i}" for i in range(20))


def count_letters(texts):
    return np.array([[t.count(c) for c in "aeiou0123456789"] for t in texts], dtype=np.float32)


letters = FunctionEncoder(count_letters)


class First(Task):
    """Return the first number of the first text's embedding."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="first", higher_is_better=True, help="First number."),
    )

    kind: Literal["first"] = "first"

    def check(self, heldout):
        pass

    def evaluate(self, encoder, heldout, seed):
        return {"first": float(encoder.embed(heldout.texts)[0, 0])}


def test_evaluator_embeds_each_text_once_across_tasks_and_repeats():
    asked = []

    def embed(texts):
        asked.extend(texts)
        return count_letters(texts)

    twice = HeldOut(TEXTS + TEXTS)
    Evaluator((First(), Retrieval(), Geometry(), Geometry(documents=12)), twice, seed=0)(
        FunctionEncoder(embed)
    )
    assert len(asked) == len(set(asked))


def test_evaluator_forgets_between_calls_so_that_a_trained_encoder_is_embedded_anew():
    evaluator = Evaluator((First(),), HeldOut(TEXTS), seed=0)
    ones = evaluator(FunctionEncoder(lambda texts: np.ones((len(texts), 2), np.float32)))
    twos = evaluator(FunctionEncoder(lambda texts: np.full((len(texts), 2), 2, np.float32)))
    assert (ones, twos) == ({"first": 1.0}, {"first": 2.0})


def test_evaluator_survives_pickling_with_its_held_out_documents():
    evaluator = Evaluator((Retrieval(), Geometry()), HeldOut(TEXTS), seed=3)
    assert pickle.loads(pickle.dumps(evaluator))(letters) == evaluator(letters)


def test_evaluator_lists_metrics_in_the_order_of_the_tasks():
    names = [metric.name for metric in Evaluator((Geometry(), First()), HeldOut(()), 0).metrics]
    assert names == [*(metric.name for metric in Geometry.metrics), "first"]


def test_evaluator_check_refuses_a_metric_reported_twice():
    with pytest.raises(ConfigurationError, match="alignment"):
        Evaluator((Geometry(), Geometry(documents=9)), HeldOut(TEXTS), 0).check()


def test_evaluator_check_asks_every_task():
    with pytest.raises(ConfigurationError, match="probe"):
        Evaluator((Retrieval(), TASKS["probe"]()), HeldOut(TEXTS), 0).check()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_evaluator_refuses_embeddings_that_are_not_finite(bad):
    def embed(texts):
        rows = count_letters(texts)
        rows[1, 0] = bad
        return rows

    with pytest.raises(TrainingError, match="not finite"):
        Evaluator((First(),), HeldOut(TEXTS), 0)(FunctionEncoder(embed))


@pytest.mark.parametrize("shape", [(3, 2), (20,)])
def test_evaluator_refuses_embeddings_of_the_wrong_shape(shape):
    with pytest.raises(TrainingError, match=r"\[20, D\]"):
        Evaluator((First(),), HeldOut(TEXTS), 0)(
            FunctionEncoder(lambda texts: np.zeros(shape, np.float32))
        )


def test_heldout_refuses_labels_that_do_not_match_the_texts():
    with pytest.raises(DataError, match="2 labels"):
        HeldOut(("one", "two"), ("x",))


def test_unit_rows_keep_zero_rows_and_scale_the_rest():
    rows = unit_rows(np.array([[0, 0], [1e-30, 0], [3, 4]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0, 0], [1, 0], [0.6, 0.8]])
