from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

from agentos.evaluation import HeldOut, Retrieval
from agentos.evaluation.retrieval import measures, ranks_of_relevant, summaries_and_bodies
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, DataError

N = 40
TEXTS = tuple(f"The summary number {i}.\n\nA body of some words about {i}." for i in range(N))


def slow_scores(queries, bodies):
    """MRR, Recall@10 and nDCG@10 by sorting each list in plain Python, ties counted against the encoder."""

    def cosine(u, v):
        return sum(map(lambda a, b: a * b, u, v)) / (math.hypot(*u) * math.hypot(*v))

    reciprocal, found, gained = 0.0, 0, 0.0
    for i, query in enumerate(queries.tolist()):
        scores = [(cosine(query, body), j == i) for j, body in enumerate(bodies.tolist())]
        scores.sort(key=lambda pair: (-round(pair[0], 9), pair[1]))
        rank = [right for _, right in scores].index(True) + 1
        reciprocal += 1 / rank
        found += rank <= 10
        gained += (rank <= 10) / math.log2(rank + 1)
    return reciprocal / len(queries), found / len(queries), gained / len(queries)


def noisy_embed(noise):
    """Embed document i, whichever of its parts is given, near the i-th of N random directions."""
    directions = np.random.default_rng(0).normal(size=(N, 8))

    def embed(texts):
        rows = []
        for text in texts:
            number = int(text.rstrip(".").split()[-1])
            own = np.random.default_rng([number, len(text)]).normal(size=8)
            rows.append(directions[number] + noise * own)
        return np.array(rows, dtype=np.float32)

    return embed


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_scores_equal_a_slow_reference(noise):
    embed = noisy_embed(noise)
    pairs = summaries_and_bodies(TEXTS)
    mrr, recall, ndcg = slow_scores(embed([q for q, _ in pairs]), embed([b for _, b in pairs]))
    scores = Retrieval().evaluate(FunctionEncoder(embed), HeldOut(TEXTS), seed=0)
    assert scores == pytest.approx({"mrr": mrr, "recall_at_10": recall, "ndcg_at_10": ndcg})
    assert 0 < scores["mrr"] < 1


def test_a_perfect_encoder_scores_one():
    scores = Retrieval().evaluate(FunctionEncoder(noisy_embed(0.0)), HeldOut(TEXTS), seed=0)
    assert scores == {"mrr": 1.0, "recall_at_10": 1.0, "ndcg_at_10": 1.0}


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_collapsed_encoder_scores_as_if_every_right_body_came_last(noise):
    directions = noisy_embed(1.0)

    def embed(texts):
        return np.ones((len(texts), 8), np.float32) + np.float32(noise) * directions(texts)

    scores = Retrieval().evaluate(FunctionEncoder(embed), HeldOut(TEXTS), seed=0)
    assert scores == pytest.approx({"mrr": 1 / N, "recall_at_10": 0.0, "ndcg_at_10": 0.0})


def test_a_narrow_cone_is_still_ranked():
    directions = noisy_embed(0.0)

    def embed(texts):
        return np.float32(1e-3) * directions(texts) + 1

    assert Retrieval().evaluate(FunctionEncoder(embed), HeldOut(TEXTS), seed=0)["mrr"] == 1.0


def test_ranks_count_ties_against_the_encoder():
    bodies = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    relevant = [{0: 1}, {1: 1}, {2: 1}]
    found = [ranks.tolist() for ranks, _ in ranks_of_relevant(bodies, bodies, relevant)]
    assert found == [[2], [2], [1]]


def test_queries_caps_the_texts_that_are_embedded():
    seen = set()

    def embed(texts):
        seen.update(texts)
        return noisy_embed(1.0)(texts)

    Retrieval(queries=12).evaluate(FunctionEncoder(embed), HeldOut(TEXTS), seed=0)
    assert len(seen) == 24


def test_another_seed_draws_other_documents():
    def drawn(seed):
        seen = set()
        embed = noisy_embed(1.0)
        Retrieval(queries=12).evaluate(
            FunctionEncoder(lambda t: (seen.update(t), embed(t))[1]), HeldOut(TEXTS), seed
        )
        return seen

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Only one line of text here.",
        "Two words.\nA body that is quite long enough.",
        "A summary of words.\n\n   \n",
        "A summary of words.\nFour words of body.",
    ],
)
def test_documents_without_both_parts_are_left_out(text):
    assert summaries_and_bodies([text]) == []


def test_repeated_summaries_and_bodies_are_left_out():
    body = "the same body, word for word"
    texts = [
        f"Add two numbers.\n{body}",
        "Add two numbers.\nanother body of enough words",
        f"Another summary here.\n{body}",
        "A third one.\na third body of enough words",
    ]
    assert [query for query, _ in summaries_and_bodies(texts)] == [
        "Add two numbers.",
        "A third one.",
    ]


def test_check_refuses_text_without_line_breaks_and_names_the_hint():
    flat = HeldOut(tuple(text.replace("\n", " ") for text in TEXTS))
    with pytest.raises(ConfigurationError, match=r"actual: 0; hint: .*evaluation\.tasks"):
        Retrieval().check(flat)


def test_check_refuses_ten_documents_and_takes_eleven():
    with pytest.raises(ConfigurationError, match="at least 11"):
        Retrieval().check(HeldOut(TEXTS[:10]))
    Retrieval().check(HeldOut(TEXTS[:11]))


# --- queries, corpus and judgements from files -------------------------------------------------------


def write_collection(folder, trec=False):
    """Write 30 queries, 80 documents and graded judgements; return the judgements."""
    rng = np.random.default_rng(4)
    (folder / "qrels").mkdir()
    with (folder / "corpus.jsonl").open("w") as stream:
        for i in range(80):
            title = f"title {i}" if i % 3 == 0 else ""
            stream.write(json.dumps({"_id": f"d{i}", "title": title, "text": f"body {i}"}) + "\n")
    with (folder / "queries.jsonl").open("w") as stream:
        for i in range(30):
            stream.write(json.dumps({"_id": f"q{i}", "text": f"query {i}"}) + "\n")
    qrels = {
        f"q{i}": {f"d{j}": int(rng.integers(0, 4)) for j in rng.permutation(80)[:6]}
        for i in range(29)
    }
    lines = ["query-id\tcorpus-id\tscore"] if not trec else []
    for query, grades in qrels.items():
        for name, grade in grades.items():
            lines.append(f"{query} 0 {name} {grade}" if trec else f"{query}\t{name}\t{grade}")
    name = "qrels/test.trec" if trec else "qrels/test.tsv"
    (folder / name).write_text("\n".join(lines) + "\n")
    return qrels


def random_rows(texts):
    rows = [np.random.default_rng(list(text.encode())).normal(size=6) for text in texts]
    return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="module", params=[False, True], ids=["tsv", "trec"])
def collection(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    qrels = write_collection(folder, request.param)
    return folder, qrels, "qrels/test.trec" if request.param else "qrels/test.tsv"


def test_scores_on_files_equal_trec_eval(collection):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    folder, qrels, name = collection
    task = Retrieval(path=str(folder), qrels=name).with_files()
    task.check(HeldOut(()))
    scores = task.evaluate(FunctionEncoder(random_rows), HeldOut(()), seed=0)

    unit = lambda rows: rows.astype(float) / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    titled = [f"title {i} body {i}" if i % 3 == 0 else f"body {i}" for i in range(80)]
    cosines = unit(random_rows([f"query {i}" for i in range(30)])) @ unit(random_rows(titled)).T
    found = {
        f"q{i}": {f"d{j}": float(c) for j, c in enumerate(row)} for i, row in enumerate(cosines)
    }
    asked = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
    measures = {"recip_rank", "recall.10", "ndcg_cut.10"}
    each = pytrec_eval.RelevanceEvaluator(asked, measures).evaluate(found).values()
    for ours, theirs in (
        ("mrr", "recip_rank"),
        ("recall_at_10", "recall_10"),
        ("ndcg_at_10", "ndcg_cut_10"),
    ):
        assert scores[ours] == pytest.approx(np.mean([row[theirs] for row in each])), ours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of sentence-transformers
def test_scores_on_files_equal_sentence_transformers(tmp_path):
    import torch

    evaluation = pytest.importorskip("sentence_transformers.evaluation")
    qrels = write_collection(tmp_path)
    lines = [
        f"{query}\t{name}\t{int(grade > 0)}"
        for query, grades in qrels.items()
        for name, grade in grades.items()
    ]
    header = "query-id\tcorpus-id\tscore\n"
    (tmp_path / "qrels" / "test.tsv").write_text(header + "\n".join(lines))
    right = {q: {d for d, grade in grades.items() if grade} for q, grades in qrels.items()}

    class Model:
        similarity_fn_name = "cosine"
        model_card_data = type("Card", (), {"set_evaluation_metrics": lambda *_: None})()

        def encode(self, texts, **_):
            return torch.from_numpy(random_rows(texts))

        encode_query = encode_document = encode

        def similarity(self, first, second):
            return torch.nn.functional.normalize(first) @ torch.nn.functional.normalize(second).T

    evaluator = evaluation.InformationRetrievalEvaluator(
        {f"q{i}": f"query {i}" for i in range(29)},
        {f"d{i}": f"title {i} body {i}" if i % 3 == 0 else f"body {i}" for i in range(80)},
        {query: names for query, names in right.items() if names},
        mrr_at_k=[80],
        ndcg_at_k=[10],
        precision_recall_at_k=[10],
        accuracy_at_k=[1],
        map_at_k=[10],
        write_csv=False,
    )
    theirs = evaluator(Model())
    scores = Retrieval(path=str(tmp_path)).evaluate(FunctionEncoder(random_rows), HeldOut(()), 0)
    assert scores["mrr"] == pytest.approx(theirs["cosine_mrr@80"])
    assert scores["recall_at_10"] == pytest.approx(theirs["cosine_recall@10"])
    assert scores["ndcg_at_10"] == pytest.approx(theirs["cosine_ndcg@10"])


def test_ndcg_equals_scikit_learn():
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(2)
    queries, corpus = rng.normal(size=(9, 5)), rng.normal(size=(40, 5))
    relevant = [
        {int(j): int(rng.integers(1, 4)) for j in rng.permutation(40)[:7]} for _ in range(9)
    ]
    truth = np.zeros((9, 40))
    for i, grades in enumerate(relevant):
        truth[i, list(grades)] = list(grades.values())
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    ).T
    found = measures(ranks_of_relevant(queries, corpus, relevant))
    assert found["ndcg_at_10"] == pytest.approx(ndcg_score(truth, cosines, k=10))


def test_files_are_read_once_and_travel_with_the_task(collection, monkeypatch, tmp_path):
    folder, _, name = collection
    task = Retrieval(path=str(folder), qrels=name)
    here = task.evaluate(FunctionEncoder(random_rows), HeldOut(()), seed=0)
    copy = pickle.loads(pickle.dumps(task.with_files()))
    monkeypatch.setattr(Retrieval, "read", lambda self: pytest.fail("read again"))
    assert copy.evaluate(FunctionEncoder(random_rows), HeldOut(()), seed=0) == here


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("corpus.jsonl", None, "no file .*corpus.jsonl"),
        ("corpus.jsonl", "", "line 1: the file is empty"),
        ("corpus.jsonl", '{"_id": "d0"}\n', "corpus.jsonl, line 1: there is no column 'text'"),
        ("queries.jsonl", '{"_id": "q0", "text": 3}\n', "queries.jsonl, line 1: .*'text'"),
        (
            "qrels/test.tsv",
            "query-id\tcorpus\tscore\nq0\td0\t1\n",
            "line 1 has no column 'corpus-id'",
        ),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td99\t1\n", "no document 'd99'"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td0\tx\n", "line 2: the grade"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td0\t0\n", "no query has a relevant"),
    ],
)
def test_broken_collections_are_refused_with_file_and_line(tmp_path, file, content, told):
    write_collection(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        Retrieval(path=str(tmp_path)).with_files()
    assert caught.value.hint


def test_judgements_in_no_known_form_are_refused(tmp_path):
    write_collection(tmp_path)
    (tmp_path / "judged.txt").write_text("q0 0 d1 1\nq0 d2\n")
    with pytest.raises(DataError, match=r"judged\.txt, line 2: not a judgement"):
        Retrieval(path=str(tmp_path), qrels="judged.txt").with_files()
    with pytest.raises(DataError, match="there is no file"):
        Retrieval(path=str(tmp_path), qrels="absent.txt").with_files()
