"""The contract of every kind of evaluation task: a new line in `TASKS` needs no new test."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.evaluation import TASKS, Evaluator, HeldOut, Metric, Task
from agents.subject import EmbeddingOnly
from protocols.errors import ConfigurationError

KINDS = sorted(TASKS)
WORDS = ["sum", "mean", "root", "graph", "tensor", "matrix", "batch", "token", "edge", "loss"]


def document(i):
    word = np.random.default_rng(i).choice
    summary = " ".join(word(WORDS, 4))
    return f"{summary} {i}\n\n{' '.join(word(WORDS, 12))} {i}"


LABELLED = HeldOut(tuple(map(document, range(60))), tuple("abc"[i % 3] for i in range(60)))
UNLABELLED = HeldOut(LABELLED.texts)


def bag_of_words(texts):
    """Bag of words, turned by a fixed random matrix."""
    bag = np.array([[text.split().count(word) for word in WORDS] for text in texts])
    turn = np.random.default_rng(0).normal(size=(len(WORDS), 9))
    return (bag @ turn).astype(np.float32)


SUBJECT = EmbeddingOnly(bag_of_words)
COLLAPSED = EmbeddingOnly(lambda texts: np.ones((len(texts), 5), np.float32))


@pytest.fixture(params=KINDS)
def task(request):
    return TASKS[request.param]()


def test_kind_and_help_line_match_the_table(task):
    assert isinstance(task, Task)
    assert TASKS[task.kind] is type(task)
    assert (type(task).__doc__ or "").splitlines()[0].endswith(".")


def test_every_metric_says_which_way_is_up(task):
    assert task.metrics
    for metric in task.metrics:
        assert isinstance(metric, Metric)
        assert isinstance(metric.higher_is_better, bool)
        assert metric.help.endswith(".")
        assert metric.name.isidentifier()
        assert not metric.name.endswith("_s"), "names that end in _s are times"


def test_metric_names_are_unique_over_the_table():
    names = [metric.name for task in TASKS.values() for metric in task.metrics]
    assert len(names) == len(set(names))


def test_evaluate_returns_exactly_the_declared_metrics_as_finite_floats(task):
    values = task.evaluate(SUBJECT, LABELLED, seed=0)
    assert list(values) == [metric.name for metric in task.metrics]
    assert all(type(value) is float and math.isfinite(value) for value in values.values())


def test_percentages_lie_between_zero_and_one(task):
    values = task.evaluate(SUBJECT, LABELLED, seed=0)
    assert all(0 <= values[metric.name] <= 1 for metric in task.metrics if metric.percent)


def test_evaluate_twice_gives_identical_numbers(task):
    assert task.evaluate(SUBJECT, LABELLED, seed=4) == task.evaluate(SUBJECT, LABELLED, seed=4)


def test_evaluate_leaves_the_global_random_state_alone(task):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    task.evaluate(SUBJECT, LABELLED, seed=0)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_collapsed_encoder_is_finite_and_not_perfect(task):
    values = task.evaluate(COLLAPSED, LABELLED, seed=0)
    assert all(math.isfinite(value) for value in values.values())
    for metric in task.metrics:
        if metric.percent:
            assert values[metric.name] < 0.6


def test_check_honours_needs_labels(task):
    task.check(LABELLED)
    if task.needs_labels:
        with pytest.raises(ConfigurationError, match="labels") as caught:
            task.check(UNLABELLED)
        assert caught.value.mend
    else:
        task.check(UNLABELLED)
        assert task.evaluate(SUBJECT, UNLABELLED, 0) == task.evaluate(SUBJECT, LABELLED, 0)


@pytest.mark.parametrize("labels", [None, ()])
def test_check_refuses_no_documents_at_all_and_names_the_mend(task, labels):
    with pytest.raises(ConfigurationError) as caught:
        task.check(HeldOut((), labels))
    assert task.kind in str(caught.value)
    assert caught.value.mend


def test_task_is_frozen_and_travels(task):
    with pytest.raises(ValidationError):
        task.kind = "other"
    assert pickle.loads(pickle.dumps(task)) == task
    assert TASKS[task.kind].model_validate(task.model_dump()) == task


def test_unknown_parameters_are_refused(task):
    with pytest.raises(ValidationError):
        type(task)(nonsense=1)


def test_all_tasks_run_together():
    evaluator = Evaluator(tuple(cls() for cls in TASKS.values()), LABELLED, seed=0)
    evaluator.check()
    assert list(evaluator(SUBJECT)) == [metric.name for metric in evaluator.metrics]


def test_importing_the_tasks_imports_no_heavy_library():
    code = (
        "import sys, agentos.evaluation; "
        "heavy = {'torch', 'sklearn', 'scipy', 'pandas', 'datasets', 'ray'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
