"""mteb scores an encoder through the adapter, on tasks that live in this file: no network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agentos.cli.encoders.assessment import parse_task
from agentos.evaluation import STS, FewShot, HeldOut
from agentos.evaluation.label_split import split_by_label
from agentos.evaluation.mteb_adapter import MtebEncoder
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, DataError
from protocols.seeding import derive

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LABELS = ("ant", "bee", "cat")
HELDOUT = HeldOut(
    tuple(f"{LABELS[i % 3]} {i}" for i in range(150)), tuple(LABELS[i % 3] for i in range(150))
)
SHARED = {
    "description": "Local.",
    "dataset": {"path": "local/none", "revision": "1"},
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
}


def embed(texts):
    rows = []
    for text in texts:
        noise = np.random.default_rng(list(text.encode())).normal(size=6)
        rows.append(np.eye(6)[LABELS.index(text.split()[0])] + 0.8 * noise)
    return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="module")
def mteb():
    return pytest.importorskip("mteb")


def score(mteb, task):
    encoder = MtebEncoder(FunctionEncoder(embed), "local/letters")
    result = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False, co2_tracker=False)
    assert result.model_name == "local/letters"
    (scores,) = result.task_results[0].scores["test"]
    return scores


def test_few_shot_classification_scores_as_our_task_does(mteb):
    from datasets import Dataset, DatasetDict

    split = split_by_label(HELDOUT, 0.6, 2000, seed=5)
    parts = {
        "train": (split.train_texts, split.train_labels),
        "test": (split.test_texts, split.test_labels),
    }

    class Local(mteb.abstasks.AbsTaskClassification):
        metadata = mteb.abstasks.task_metadata.TaskMetadata(
            name="LocalClassification", type="Classification", main_score="accuracy", **SHARED
        )
        samples_per_label, n_experiments = 8, 10

        def load_data(self, **_):
            self.dataset = DatasetDict(
                {
                    name: Dataset.from_dict(
                        {"text": texts, "label": [LABELS.index(label) for label in labels]}
                    )
                    for name, (texts, labels) in parts.items()
                }
            )
            self.data_loaded = True

    task = Local(seed=derive(5, "evaluation", "few_shot") % 2**32)
    theirs = score(mteb, task)
    ours = FewShot().evaluate(FunctionEncoder(embed), HELDOUT, seed=5)
    assert ours["few_shot_accuracy"] == pytest.approx(theirs["accuracy"])
    assert ours["few_shot_macro_f1"] == pytest.approx(theirs["f1"])
    assert ours["few_shot_macro_precision"] == pytest.approx(theirs["precision"])
    assert 0.4 < theirs["accuracy"] < 0.95


def test_sentence_similarity_scores_as_our_task_does(mteb, tmp_path):
    from datasets import Dataset, DatasetDict

    rng = np.random.default_rng(0)
    pairs = [
        {
            "sentence1": f"{rng.choice(LABELS)} {i}",
            "sentence2": f"{rng.choice(LABELS)} {i + 100}",
            "score": float(rng.random()),
        }
        for i in range(40)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))

    class Local(mteb.abstasks.AbsTaskSTS):
        metadata = mteb.abstasks.task_metadata.TaskMetadata(
            name="LocalSTS", type="STS", main_score="cosine_spearman", **SHARED
        )
        min_score, max_score = 0, 1

        def load_data(self, **_):
            self.dataset = DatasetDict({"test": Dataset.from_list(pairs)})
            self.data_loaded = True

    theirs = score(mteb, Local())
    ours = STS(path=str(path)).evaluate(FunctionEncoder(embed), HELDOUT, seed=0)
    assert ours["sts_spearman"] == pytest.approx(theirs["cosine_spearman"], abs=1e-6)
    assert ours["sts_pearson"] == pytest.approx(theirs["cosine_pearson"], abs=1e-6)
    assert ours["sts_spearman"] == pytest.approx(theirs["spearman"], abs=1e-6)


def test_task_of_mteb_is_an_evaluation_task_and_its_data_is_never_downloaded(mteb, monkeypatch):
    from datasets import Dataset, DatasetDict

    rows = [
        {
            "sentence1": f"{LABELS[i % 3]} {i}",
            "sentence2": f"{LABELS[i % 2]} {i + 50}",
            "score": i % 5,
        }
        for i in range(30)
    ]

    class Local(mteb.abstasks.AbsTaskSTS):
        metadata = mteb.abstasks.task_metadata.TaskMetadata(
            name="LocalSTS", type="STS", main_score="cosine_spearman", **SHARED
        )
        min_score, max_score = 0, 4

        def load_data(self, **_):
            self.dataset = DatasetDict({"test": Dataset.from_list(rows)})
            self.data_loaded = True

    theirs = score(mteb, Local())
    with monkeypatch.context() as patch:
        patch.setattr(mteb, "get_task", lambda name: Local())
        task = parse_task("mteb:LocalSTS").with_files()
    ours = task.evaluate(FunctionEncoder(embed), HELDOUT, seed=0)
    assert ours == {"mteb_main_score": pytest.approx(theirs["main_score"])}
    with pytest.raises(DataError, match="Banking77Classification is not on this machine"):
        parse_task("mteb:Banking77Classification").read()
    with pytest.raises(ConfigurationError, match="no task 'Bankng77Classification'"):
        parse_task("mteb:Bankng77Classification").read()


def test_similarities_are_cosines():
    encoder = MtebEncoder(FunctionEncoder(embed))
    rows = np.array([[3.0, 4.0], [0.0, 2.0]])
    assert encoder.similarity(rows, rows) == pytest.approx(np.array([[1, 0.8], [0.8, 1]]))
    assert encoder.similarity_pairwise(rows, rows[::-1]) == pytest.approx([0.8, 0.8])
