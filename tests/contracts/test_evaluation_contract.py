"""The contract of every kind of evaluation task: a new line in `TASKS` needs no new test."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.evaluation import TASKS, Evaluator, HeldOut, Metric, OwnLabels, Task
from agents.models.text_encoder import FunctionEncoder, LabelScores, TokenScores
from protocols.errors import ConfigurationError

KINDS = sorted(TASKS)
WITH_FILE = {"STS", "PairClassification"}
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


ENCODER = FunctionEncoder(bag_of_words)
COLLAPSED = FunctionEncoder(lambda texts: np.ones((len(texts), 5), np.float32))


class WithHead:
    """An encoder with a classifier, and a language-model head that guesses from the texts and the seed."""

    def __init__(self, kind, embed=bag_of_words):
        self.kind = kind
        self.embed = embed

    def token_scores(self, texts, seed):
        rng = np.random.default_rng([seed, *map(len, texts)])
        count = np.array([len(text.split()) for text in texts])
        nll = rng.exponential(2.0, len(texts)) * count
        return TokenScores(self.kind, nll, rng.binomial(count, 0.25), count)

    def label_scores(self, texts):
        return WithClassifier(self.embed).label_scores(texts)


class WithClassifier(FunctionEncoder):
    """An encoder whose classifier guesses from its embeddings, sure of itself even if these collapsed."""

    def label_scores(self, texts):
        embedded = self.embed(texts)[:, :3] * np.array([6.0, 3.0, 0.0])
        odds = np.exp(embedded - embedded.max(axis=1, keepdims=True))
        return LabelScores(("a", "b", "c"), odds / odds.sum(axis=1, keepdims=True))


def encoder_for(task, encoder=ENCODER):
    if isinstance(task, OwnLabels):
        return WithClassifier(encoder.embed)
    return encoder if task.needs_head is None else WithHead(task.needs_head, encoder.embed)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {
            "sentence1": document(i),
            "sentence2": document(i + 7),
            "score": (i * 7) % 5,
            "label": i % 2,
        }
        for i in range(60)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(params=KINDS)
def task(request, pairs):
    cls = TASKS[request.param]
    return cls(path=pairs) if cls.__name__ in WITH_FILE else cls()


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
    names = [metric.name for cls in TASKS.values() for metric in cls.metrics]
    assert len(names) == len(set(names))


def test_evaluate_returns_exactly_the_declared_metrics_as_finite_floats(task):
    values = task.evaluate(encoder_for(task), LABELLED, seed=0)
    assert list(values) == [metric.name for metric in task.metrics]
    assert all(type(value) is float and math.isfinite(value) for value in values.values())


def test_percentages_lie_between_zero_and_one(task):
    values = task.evaluate(encoder_for(task), LABELLED, seed=0)
    assert all(0 <= values[metric.name] <= 1 for metric in task.metrics if metric.percent)


def test_evaluate_twice_gives_identical_numbers(task):
    encoder = encoder_for(task)
    assert task.evaluate(encoder, LABELLED, seed=4) == task.evaluate(encoder, LABELLED, seed=4)


def test_evaluate_leaves_the_global_random_state_alone(task):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    task.evaluate(encoder_for(task), LABELLED, seed=0)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_collapsed_encoder_is_finite_and_not_perfect(task):
    values = task.evaluate(encoder_for(task, COLLAPSED), LABELLED, seed=0)
    assert all(math.isfinite(value) for value in values.values())
    for metric in task.metrics:
        if metric.percent:
            value = values[metric.name]
            assert (value if metric.higher_is_better else 1 - value) < 0.6


def test_check_honours_needs_labels(task):
    task.check(LABELLED)
    if task.needs_labels:
        with pytest.raises(ConfigurationError, match="labels") as caught:
            task.check(UNLABELLED)
        assert caught.value.hint
    else:
        task.check(UNLABELLED)
        encoder = encoder_for(task)
        assert task.evaluate(encoder, UNLABELLED, 0) == task.evaluate(encoder, LABELLED, 0)


def test_a_subject_without_the_head_that_a_task_needs_is_refused(task):
    if isinstance(task, OwnLabels):
        with pytest.raises(ConfigurationError, match="classifier") as caught:
            task.evaluate(ENCODER, LABELLED, seed=0)
        assert caught.value.hint
        return
    if task.needs_head is None:
        task.evaluate(ENCODER, LABELLED, seed=0)
        return
    other = "causal" if task.needs_head == "masked" else "masked"
    for encoder in (ENCODER, WithHead(other)):
        with pytest.raises(ConfigurationError, match="head") as caught:
            task.evaluate(encoder, LABELLED, seed=0)
        assert caught.value.hint


def test_data_of_figures_are_json(task):
    metrics, data = task.examine(encoder_for(task), LABELLED, seed=0)
    assert metrics == task.evaluate(encoder_for(task), LABELLED, seed=0)
    assert json.loads(json.dumps(data)) == data


def test_a_task_with_its_files_read_travels_and_measures_the_same(task):
    encoder = encoder_for(task)
    whole = pickle.loads(pickle.dumps(task.with_files()))
    assert whole.evaluate(encoder, LABELLED, 1) == task.evaluate(encoder, LABELLED, 1)
    assert whole.model_dump() == task.model_dump()


@pytest.mark.parametrize("labels", [None, ()])
def test_check_refuses_no_documents_at_all_and_names_the_hint(task, labels):
    if "path" in type(task).model_fields and task.path is not None:
        task.check(HeldOut((), labels))  # it has its own
        return
    with pytest.raises(ConfigurationError) as caught:
        task.check(HeldOut((), labels))
    assert task.kind in str(caught.value)
    assert caught.value.hint


def test_task_is_frozen_and_travels(task):
    with pytest.raises(ValidationError):
        task.kind = "other"
    assert pickle.loads(pickle.dumps(task)) == task
    assert TASKS[task.kind].model_validate(task.model_dump()) == task


def test_unknown_parameters_are_refused(task):
    with pytest.raises(ValidationError):
        type(task)(nonsense=1)


@pytest.mark.parametrize(("head", "other"), [("causal", "masked"), ("masked", "causal")])
def test_all_tasks_run_together(pairs, head, other):
    chosen = [cls for cls in TASKS.values() if cls.needs_head != other]
    files = [{"path": pairs} if cls.__name__ in WITH_FILE else {} for cls in chosen]
    tasks = tuple(cls(**fields) for cls, fields in zip(chosen, files, strict=True))
    evaluator = Evaluator(tasks, LABELLED, seed=0).with_files()
    evaluator.check()
    assert list(evaluator(WithHead(head))) == [metric.name for metric in evaluator.metrics]
    assert evaluator.examine(WithHead(head))[1].keys() == {"probe"}


def test_importing_the_tasks_imports_no_heavy_library():
    code = (
        "import sys, agentos.evaluation; "
        "heavy = {'torch', 'sklearn', 'scipy', 'pandas', 'datasets', 'ray'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
