from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from agentos.evaluation import STS, HeldOut, PairClassification
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, DataError

NONE = HeldOut(())
WORDS = ["red", "blue", "green", "fast", "slow", "cat", "dog", "tree"]


def rows():
    rng = np.random.default_rng(3)
    for i in range(50):
        first, second = (" ".join(rng.choice(WORDS, 4)) for _ in range(2))
        yield {
            "sentence1": first,
            "sentence2": second,
            "score": len({*first.split()} & {*second.split()}) + 0.5 * float(rng.random()),
            "label": i % 3 == 0,
        }


def embed(texts):
    rows = [np.random.default_rng(list(text.encode())).normal(size=6) for text in texts]
    return np.array(rows, dtype=np.float32)


ENCODER = FunctionEncoder(embed)


@pytest.fixture(params=["jsonl", "csv", "tsv", "parquet"])
def file(request, tmp_path):
    path = tmp_path / f"pairs.{request.param}"
    if request.param == "jsonl":
        path.write_text(
            "".join(json.dumps({**row, "label": int(row["label"])}) + "\n" for row in rows())
        )
    elif request.param == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows())), path)
    else:
        with path.open("w", newline="") as stream:
            delimiter = {"csv": ",", "tsv": "\t"}[request.param]
            writer = csv.DictWriter(stream, [*next(rows())], delimiter=delimiter)
            writer.writeheader()
            writer.writerows({**row, "label": int(row["label"])} for row in rows())
    return path


@pytest.mark.slow
def test_sts_equals_sentence_transformers(file):
    evaluation = pytest.importorskip("sentence_transformers.evaluation")
    pairs = list(rows())
    reference = evaluation.EmbeddingSimilarityEvaluator(
        [row["sentence1"] for row in pairs],
        [row["sentence2"] for row in pairs],
        [row["score"] for row in pairs],
        main_similarity="cosine",
    )

    class Model:
        similarity_fn_name = "cosine"
        model_card_data = type("Card", (), {"set_evaluation_metrics": lambda *_: None})()

        def encode(self, texts, **_):
            return embed(texts)

    expected = reference(Model())
    found = STS(path=str(file)).evaluate(ENCODER, NONE, seed=0)
    assert found["sts_spearman"] == pytest.approx(expected["spearman_cosine"], abs=1e-6)
    assert found["sts_pearson"] == pytest.approx(expected["pearson_cosine"], abs=1e-6)


def test_pair_classification_equals_scikit_learn(file):
    from sklearn.metrics import average_precision_score
    from sklearn.metrics.pairwise import (
        paired_cosine_distances,
        paired_euclidean_distances,
        paired_manhattan_distances,
    )

    pairs = list(rows())
    truth = [row["label"] for row in pairs]
    first, second = (embed([row[f"sentence{i}"] for row in pairs]).astype(float) for i in (1, 2))
    cosine = average_precision_score(truth, 1 - paired_cosine_distances(first, second))
    others = (
        average_precision_score(truth, -paired_euclidean_distances(first, second)),
        average_precision_score(truth, -paired_manhattan_distances(first, second)),
        average_precision_score(truth, (first * second).sum(axis=1)),
    )
    found = PairClassification(path=str(file)).evaluate(ENCODER, NONE, seed=0)
    assert found == pytest.approx({"pair_ap": cosine, "pair_max_ap": max(cosine, *others)})


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_collapsed_encoder_correlates_with_nothing(tmp_path, noise):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({**row, "label": 0}) + "\n" for row in rows()))
    encoder = FunctionEncoder(lambda texts: np.float32(1) + np.float32(noise) * embed(texts))
    found = STS(path=str(path)).evaluate(encoder, NONE, seed=0)
    assert found == {"sts_spearman": 0.0, "sts_pearson": 0.0}


def test_columns_may_have_other_names(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("a,b,similarity\none,two,0.5\none,three,1\none,four,2\n")
    task = STS(path=str(path), sentence1="a", sentence2="b", score="similarity").with_files()
    task.check(NONE)
    assert task.files.second == ("two", "three", "four")


GOOD = '{"sentence1": "a", "sentence2": "b", "score": 1, "label": 1}\n'


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("pairs.jsonl", "", r"pairs\.jsonl, line 1: the file is empty"),
        ("pairs.csv", "sentence1,sentence2,score\n", r"pairs\.csv, line 1: the file is empty"),
        ("pairs.jsonl", GOOD + "{\n", r"pairs\.jsonl, line 2: not valid JSON"),
        ("pairs.jsonl", GOOD + "[1]\n", "line 2: not a JSON object; actual: list"),
        (
            "pairs.jsonl",
            GOOD.replace("score", "scores"),
            r"line 1: .*'score'.*did you mean 'scores'",
        ),
        ("pairs.jsonl", GOOD.replace(": 1", ': "x"'), "line 1: the column 'score' cannot be used"),
        ("pairs.jsonl", GOOD.replace(": 1", ": NaN"), "line 1: the column 'score'.*finite number"),
        ("pairs.jsonl", GOOD.replace(": 1", ": null"), "line 1: the column 'score'.*nothing"),
        ("pairs.jsonl", GOOD.replace('"a"', "3"), "line 1: the column 'sentence1'.*a string"),
        (
            "pairs.csv",
            "sentence1,sentence2,score\na,b,1,2\n",
            r"pairs\.csv, line 2: wrong number of columns",
        ),
        (
            "pairs.csv",
            "sentence1,sentence2,score\na,b\n",
            r"pairs\.csv, line 2: wrong number of columns",
        ),
        (
            "pairs.csv",
            'sentence1,sentence2,score\n"a,b,1\n',
            r"pairs\.csv, line 2: not valid CSV",
        ),
        ("pairs.parquet", "no table", r"pairs\.parquet, after row 0: not a readable Parquet file"),
        ("pairs.xlsx", GOOD, r"pairs\.xlsx: not a file format"),
    ],
)
def test_broken_files_are_refused_with_file_and_line(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        STS(path=str(path)).with_files()
    assert caught.value.hint


def test_bytes_that_are_no_utf8_are_refused(tmp_path):
    for name in ("pairs.jsonl", "pairs.csv"):
        path = tmp_path / name
        path.write_bytes(b"\xff\xfe{}")
        with pytest.raises(DataError, match="UTF-8"):
            STS(path=str(path)).with_files()


def test_a_file_that_is_not_there_is_named_with_the_closest(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(GOOD)
    with pytest.raises(DataError, match=r"no file .*pears\.jsonl.*did you mean 'pairs\.jsonl'"):
        STS(path=str(tmp_path / "pears.jsonl")).with_files()


def test_constant_values_are_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(GOOD + GOOD)
    with pytest.raises(ConfigurationError, match="every pair has the same score"):
        STS(path=str(path)).check(NONE)
    with pytest.raises(ConfigurationError, match="every pair has the same label"):
        PairClassification(path=str(path)).check(NONE)
    path.write_text(GOOD + GOOD.replace('label": 1', 'label": 2'))
    with pytest.raises(ConfigurationError, match="labels other than 0 and 1"):
        PairClassification(path=str(path)).check(NONE)
