from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.evaluation import KNN, FewShot, HeldOut, Probe
from agentos.evaluation.few_shot import few_of_each, few_shot_scores
from agentos.evaluation.label_split import split_by_label
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError

LABELS = ("ant", "bee", "cat")
HELDOUT = HeldOut(
    tuple(f"{LABELS[i % 3]} {i}" for i in range(150)), tuple(LABELS[i % 3] for i in range(150))
)


def clouds(spread, width=6):
    """Embed a text in a Gaussian cloud around a centre of its label."""
    centres = np.random.default_rng(7).normal(size=(3, width))

    def embed(texts):
        rows = []
        for text in texts:
            label, number = text.split()
            own = np.random.default_rng(int(number)).normal(size=width)
            rows.append(centres[LABELS.index(label)] + spread * own)
        return np.array(rows, dtype=np.float32)

    return embed


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_probe_equals_a_pipeline_of_scikit_learn(spread):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import classification_report
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    embed = clouds(spread)
    split = split_by_label(HELDOUT, 0.6, 2000, seed=1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    pipeline.fit(embed(split.train_texts), split.train_labels)
    guess = pipeline.predict(embed(split.test_texts))
    expected = classification_report(split.test_labels, guess, output_dict=True)

    scores = Probe().evaluate(FunctionEncoder(embed), HELDOUT, seed=1)
    assert scores["probe_accuracy"] == pytest.approx(expected["accuracy"])
    assert scores["probe_macro_f1"] == pytest.approx(expected["macro avg"]["f1-score"])
    assert scores["probe_macro_precision"] == pytest.approx(expected["macro avg"]["precision"])
    assert scores["probe_macro_recall"] == pytest.approx(expected["macro avg"]["recall"])


def test_confusion_matrix_agrees_with_the_scores():
    encoder = FunctionEncoder(clouds(2.0))
    scores = Probe().evaluate(encoder, HELDOUT, seed=1)
    _, told = Probe().examine(encoder, HELDOUT, seed=1)
    matrix = np.array(told["confusion"])
    assert told["labels"] == list(LABELS)
    assert matrix.sum() == 60
    assert np.trace(matrix) / matrix.sum() == pytest.approx(scores["probe_accuracy"])
    recall = np.diag(matrix) / matrix.sum(axis=1)
    assert recall.mean() == pytest.approx(scores["probe_macro_recall"])


def test_matrix_of_too_many_labels_is_not_kept():
    labels = tuple(f"{i % 70:02}" for i in range(420))
    heldout = HeldOut(tuple(f"ant {i}" for i in range(420)), labels)
    assert Probe().examine(FunctionEncoder(clouds(1.0)), heldout, seed=0)[1] == {}


@pytest.mark.filterwarnings("ignore")  # of mteb
@pytest.mark.parametrize("samples", [4, 8])
def test_few_shot_scores_equal_those_of_mteb(samples):
    mteb = pytest.importorskip("mteb.abstasks.classification")
    from datasets import Dataset
    from mteb.timing import TimingStack

    embed = clouds(1.5)
    split = split_by_label(HELDOUT, 0.6, 2000, seed=1)
    names = {label: i for i, label in enumerate(LABELS)}
    train, test = (
        Dataset.from_dict({"text": texts, "label": [names[label] for label in labels]})
        for texts, labels in (
            (split.train_texts, split.train_labels),
            (split.test_texts, split.test_labels),
        )
    )

    class Task(mteb.AbsTaskClassification):
        samples_per_label = samples
        seed = 42

        def __init__(self):
            pass

    theirs, drawn, order = [], [], None
    for experiment in range(5):
        few, order, rows = Task()._undersample_data(train, experiment, order)
        drawn.append(rows)
        scores, _ = Task()._run_experiment(
            few, test, embed(few["text"]), embed(test["text"]), timer=TimingStack()
        )
        theirs.append(scores)
    few = list(few_of_each(split.train_labels, samples, 5, seed=42))
    assert few == drawn
    for rows, expected in zip(few, theirs, strict=True):
        found = few_shot_scores(
            embed([split.train_texts[i] for i in rows]),
            [split.train_labels[i] for i in rows],
            embed(split.test_texts),
            split.test_labels,
        )
        pairs = {"accuracy": "accuracy", "macro_f1": "f1"}
        pairs |= {"macro_precision": "precision", "macro_recall": "recall"}
        assert {ours: found[ours] for ours in pairs} == pytest.approx(
            {ours: expected[name] for ours, name in pairs.items()}
        )


def test_few_shot_takes_one_document_of_each_label_without_a_warning():
    task = FewShot(samples_per_label=1, experiments=2)
    assert task.evaluate(FunctionEncoder(clouds(0.0)), HELDOUT, seed=0)["few_shot_accuracy"] == 1


def test_few_shot_reports_the_mean_of_its_experiments():
    embed = clouds(1.5)
    once = [
        FewShot(experiments=n).evaluate(FunctionEncoder(embed), HELDOUT, seed=1)[
            "few_shot_accuracy"
        ]
        for n in (1, 2)
    ]
    split = split_by_label(HELDOUT, 0.6, 2000, seed=1)
    assert len(split.train_texts) == 90
    assert once[0] != once[1]
    assert 1 / 3 < once[1] < 1


@pytest.mark.parametrize("k", [1, 10, 500])
def test_knn_equals_a_slow_vote(k):
    embed = clouds(1.5)
    split = split_by_label(HELDOUT, 0.6, 2000, seed=1)
    train = embed(split.train_texts).astype(float)
    right = 0
    for row, label in zip(embed(split.test_texts).astype(float), split.test_labels, strict=True):
        cosine = [row @ t / np.linalg.norm(row) / np.linalg.norm(t) for t in train]
        nearest = sorted(range(len(train)), key=lambda i: -cosine[i])[:k]
        votes = Counter(split.train_labels[i] for i in nearest)
        right += min(votes, key=lambda name: (-votes[name], name)) == label
    score = KNN(k=k).evaluate(FunctionEncoder(embed), HELDOUT, seed=1)["knn_accuracy"]
    assert score == pytest.approx(right / len(split.test_labels))


@pytest.mark.parametrize("task", [Probe(), FewShot(), KNN()])
def test_a_perfect_encoder_scores_one(task):
    assert set(task.evaluate(FunctionEncoder(clouds(0.0)), HELDOUT, seed=0).values()) == {1.0}


@pytest.mark.parametrize("task", [Probe(), FewShot(), KNN()])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_collapsed_encoder_scores_no_better_than_chance(task, noise):
    signal = clouds(0.0)

    def embed(texts):
        return np.ones((len(texts), 6), np.float32) + np.float32(noise) * signal(texts)

    scores = task.evaluate(FunctionEncoder(embed), HELDOUT, seed=0)
    assert max(scores.values()) <= 1 / 3 + 1e-9


def test_probe_converges_without_a_warning_on_hard_features():
    skewed = np.logspace(-6, 6, 64).astype(np.float32)

    def embed(texts):
        return clouds(1.0, width=64)(texts) * skewed

    Probe().evaluate(FunctionEncoder(embed), HELDOUT, seed=0)  # warnings are errors here


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=6).filter(
        lambda counts: sum(count >= 2 for count in counts) >= 2
    ),
    fraction=st.floats(0.05, 0.95),
    limit=st.integers(4, 60),
    seed=st.integers(0, 5),
)
def test_split_is_disjoint_and_keeps_every_label_on_both_sides(counts, fraction, limit, seed):
    labels = tuple(str(k) for k, count in enumerate(counts) for _ in range(count))
    heldout = HeldOut(tuple(f"text {i}" for i in range(len(labels))), labels)
    split = split_by_label(heldout, fraction, limit, seed)
    whole = {str(k) for k, count in enumerate(counts) if count >= 2}
    assert set(split.train_labels) == set(split.test_labels) == whole
    assert not set(split.train_texts) & set(split.test_texts)
    used = len(split.train_texts) + len(split.test_texts)
    assert used == len({*split.train_texts, *split.test_texts}) <= max(limit, 0) + 2 * len(whole)
    label_of = dict(zip(heldout.texts, labels, strict=True))
    assert [label_of[text] for text in split.train_texts] == split.train_labels
    assert [label_of[text] for text in split.test_texts] == split.test_labels


def test_split_keeps_the_shares_of_the_labels():
    heldout = HeldOut(tuple(map(str, range(400))), ("x",) * 300 + ("y",) * 100)
    split = split_by_label(heldout, 0.6, 200, seed=0)
    assert Counter(split.train_labels) == {"x": 90, "y": 30}
    assert Counter(split.test_labels) == {"x": 60, "y": 20}


@pytest.mark.parametrize("task", [Probe(), FewShot(), KNN()])
def test_check_refuses_documents_without_labels(task):
    with pytest.raises(ConfigurationError, match=r"no labels; hint: .*data\.source"):
        task.check(HeldOut(HELDOUT.texts))


@pytest.mark.parametrize("labels", [("x",) * 4, ("x", "x", "x", "y")])
def test_check_refuses_fewer_than_two_labels_held_twice(labels):
    with pytest.raises(ConfigurationError, match="labels with two documents each; actual: 1"):
        Probe().check(HeldOut(tuple("abcd"), labels))
