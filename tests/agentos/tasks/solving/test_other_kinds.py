"""Searches, texts that are written together, and graphs of parts: from a file to a report, and asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import yaml
from typer.testing import CliRunner

from agentos import solve
from agentos.cli.main import app
from agentos.runtime.local import LocalRuntime
from agentos.tasks.config import CompositeTask, GenerateTask, RankTask
from agentos.tasks.solving.composite_task import SolvedParts, configuration_of
from agentos.tasks.solving.kind_outcome import LEXICAL, Finished, beats, parts_of
from agentos.tasks.solving.workbench import Bench
from protocols.errors import ConfigurationError, ModelError


@pytest.fixture(scope="session")
def encoders(
    save_encoder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Two encoders of random weights."""
    folder = tmp_path_factory.mktemp("encoders")
    widths = enumerate((16, 32))
    return [str(save_encoder(folder / f"e{seed}", seed, width)) for seed, width in widths]


@pytest.fixture(scope="session")
def bank(sentences: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of the first words of a text and the others."""
    path = tmp_path_factory.mktemp("bank") / "bank.jsonl"
    with path.open("w", encoding="utf-8") as stream:
        for text in sentences[:80]:
            words = text.split()
            row = {"query": " ".join(words[::2]), "document": " ".join(words[1::2])}
            stream.write(json.dumps(row) + "\n")
    return path


def rank_values(models: list[str], bank: Path, **fields: Any) -> dict[str, Any]:
    task = {"kind": "rank", "source": {"kind": "pairs", "path": str(bank)}, "max_length": 16}
    return {"name": "bank", "library": {"models": models}, "task": task, **fields}


def generate_values(models: list[str], file: Path, **fields: Any) -> dict[str, Any]:
    source = {"kind": "jsonl", "path": str(file), "label": "label"}
    task = {"kind": "generate", "source": source, "max_length": 12, "new_tokens": 5}
    return {"name": "chorus", "library": {"models": models}, "task": task, **fields}


def composite_values(models: list[str], file: Path, **reader: Any) -> dict[str, Any]:
    """A graph of a topic, and a part that reads it."""
    source = {"kind": "jsonl", "path": str(file), "label": "label"}
    topic = {"kind": "classify", "source": source, "max_length": 16, "shots": 8}
    reads = "{topic} {text}"
    parts = {"topic": {"task": topic}, "reader": {"task": {**topic, **reader}, "reads": reads}}
    task = {"kind": "composite", "parts": parts}
    return {"name": "desk", "library": {"models": models}, "task": task}


def run(*words: str) -> Any:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done


def qualities(finished: Finished) -> dict[str, float]:
    name = finished.measures[0].name
    return {way.name: way.measures[name] for way in finished.ways}


def test_search_ends_in_a_table_a_sentence_and_a_report_and_answers(
    encoders: list[str], bank: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "bank.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(rank_values(encoders, bank)))
    shown = run("solve", str(file), "--out", str(out)).output
    for word in ("nDCG@10", "words", "alone", "ranks", "scores", "One agent"):
        assert word in shown
    results = json.loads((out / "results.json").read_text())
    assert [line["name"] for line in results["lines"]] == [
        LEXICAL,
        "single",
        "reciprocal_rank",
        "z_score",
    ]
    assert results["verdict"].split(":")[0] in (out / "report.html").read_text(encoding="utf-8")
    table = pyarrow.parquet.read_table(out / "answers.parquet").to_pydict()
    chosen = next(line for line in results["lines"] if line["name"] == results["chosen"])
    assert np.mean(table["gain"]) == pytest.approx(chosen["measures"]["ndcg_at_10"])
    assert np.mean(table["flops"]) == pytest.approx(chosen["flops"])
    asked = json.loads(run("ask", str(out), table["text"][0], "--json").output)["replies"]
    assert asked[0]["label"] == table["first"][0]
    assert [hit["document"] for hit in asked[0]["hits"]] == table["documents"][0]
    assert "0." in run("ask", str(out), "wave tide").output
    text = "The ship left. The tide was high. The ship left."
    (summary,) = json.loads(run("ask", str(out), text, "--sentences", "2", "--json").output)[
        "replies"
    ]
    assert summary["sentences"] == [0, 1]  # the third says the first again
    assert summary["label"] == "The ship left. The tide was high."
    assert summary["flops"] > 0
    assert summary["label"] in run("ask", str(out), text, "--sentences", "2").output


def test_shards_of_one_encoder_find_what_it_finds_alone(
    encoders: list[str], bank: Path, tmp_path: Path
) -> None:
    values = rank_values(encoders[:1], bank, fuse="merge")
    values["task"]["agents"] = 5
    finished = solve(RankTask.model_validate(values), tmp_path / "out")
    alone, merged = finished.way("single"), finished.way("merge")
    assert alone is not None
    assert merged is not None
    assert alone.measures == merged.measures
    assert merged.asked == 5
    assert merged.flops > alone.flops
    assert finished.chosen == "merge"
    auto = RankTask.model_validate({**values, "fuse": "auto"})
    assert solve(auto, tmp_path / "auto").verdict.startswith("One agent is enough")


def test_judgements_of_test_queries_change_no_choice_and_no_ranking(
    encoders: list[str], bank: Path, tmp_path: Path
) -> None:
    values = rank_values(encoders, bank)
    first = solve(RankTask.model_validate(values), tmp_path / "first")
    table = pyarrow.parquet.read_table(first.directory / "answers.parquet").to_pydict()
    rows = [json.loads(line) for line in bank.read_text().splitlines()]
    tested = [row for row in rows if row["query"] in set(table["text"])]
    for row, other in zip(
        tested, [each["document"] for each in tested[1:] + tested[:1]], strict=True
    ):
        row["document"] = other
    # The same queries and the same corpus, in their old order; only who answers whom has changed.
    poisoned = tmp_path / "poisoned"
    (poisoned / "qrels").mkdir(parents=True)
    documents = [json.loads(line)["document"] for line in bank.read_text().splitlines()]
    for name, texts in (("queries", [row["query"] for row in rows]), ("corpus", documents)):
        lines = (json.dumps({"_id": str(n), "text": text}) for n, text in enumerate(texts))
        (poisoned / f"{name}.jsonl").write_text("\n".join(lines))
    judged = [f"{n}\t{documents.index(row['document'])}\t1" for n, row in enumerate(rows)]
    (poisoned / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    values["task"]["source"] = {"kind": "beir", "path": str(poisoned)}
    second = solve(RankTask.model_validate(values), tmp_path / "second")
    changed = pyarrow.parquet.read_table(second.directory / "answers.parquet").to_pydict()
    assert changed["text"] == table["text"]
    assert changed["documents"] == table["documents"]
    assert second.chosen == first.chosen
    assert qualities(second) != qualities(first)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fuse": "merge"}, "cannot be fused by merge"),
        ({"task": {"agents": 1}}, "do not fit"),
        ({"task": {"holders": 3}}, "do not fit"),
        ({"task": {"documents": 10}}, "larger than"),
    ],
)
def test_search_that_cannot_be_is_refused_before_it_begins(
    changes: dict[str, Any], problem: str, encoders: list[str], bank: Path, tmp_path: Path
) -> None:
    values = rank_values(encoders, bank)
    values = {**values, **changes, "task": {**values["task"], **changes.get("task", {})}}
    with pytest.raises(ConfigurationError, match=problem):
        solve(RankTask.model_validate(values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mixture_of_one_and_models_that_do_not_decode_are_refused(
    decoders: list[str], encoders: list[str], corpus_file: Path, tmp_path: Path
) -> None:
    one = generate_values(decoders[:1], corpus_file, mixture="posterior")
    with pytest.raises(ConfigurationError, match="no mixture"):
        solve(GenerateTask.model_validate(one), tmp_path / "out")
    with pytest.raises(ModelError, match="cannot continue a text"):
        solve(GenerateTask.model_validate(generate_values(encoders, corpus_file)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_decoders_of_unlike_topics_write_better_together_and_answer(
    decoders: list[str], corpus_file: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "chorus.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(generate_values(decoders, corpus_file)))
    shown = run("solve", str(file), "--out", str(out)).output
    for word in ("perplexity", "words", "alone", "posterior", "uniform", "sea", "was not enough"):
        assert word in shown
    results = json.loads((out / "results.json").read_text())
    found = {line["name"]: line for line in results["lines"]}
    assert list(found) == [LEXICAL, "single", "posterior", "uniform"]
    perplexity = {name: line["measures"]["perplexity"] for name, line in found.items()}
    assert perplexity["posterior"] < 0.9 * perplexity["single"]
    assert found["posterior"]["flops"] == pytest.approx(2 * found["single"]["flops"])
    assert found["single"]["payload_bytes"] == 0 < found["posterior"]["payload_bytes"]
    table = pyarrow.parquet.read_table(out / "answers.parquet").to_pydict()
    nats = sum(table["nats posterior"]) / sum(table["tokens"])
    assert np.exp(nats) == pytest.approx(perplexity["posterior"])
    spent = sum(table["flops"]) / sum(table["tokens"])
    assert spent == pytest.approx(found["posterior"]["flops"])
    replies = json.loads(run("ask", str(out), "wave tide", "--json").output)["replies"]
    assert set(replies[0]) == {"label", "weights", "flops", "payload_bytes"}
    assert "written by" in run("ask", str(out), "wave tide").output
    refused = CliRunner().invoke(app, ["ask", str(out), "wave tide", "--sentences", "1"])
    assert isinstance(refused.exception, ConfigurationError)
    assert "only a society that searches" in str(refused.exception)


def test_labels_are_read_for_the_table_alone(
    decoders: list[str], corpus_file: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "shuffled.jsonl"
    rows = [json.loads(line) for line in corpus_file.read_text().splitlines()]
    for row in rows:
        row["label"] = "one"
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = (
        solve(GenerateTask.model_validate(generate_values(decoders, file)), tmp_path / file.stem)
        for file in (corpus_file, shuffled)
    )
    assert first.chosen == second.chosen
    assert qualities(first) == qualities(second)


@pytest.mark.ray
def test_decoders_on_ray_write_the_same_to_the_bit(
    decoders: list[str], corpus_file: Path, warm: Any, tmp_path: Path
) -> None:
    tables = []
    task = GenerateTask.model_validate(generate_values(decoders, corpus_file))
    for runtime in (LocalRuntime(), warm):
        on_it = task.model_copy(update={"runtime": runtime})
        solved = solve(on_it, tmp_path / runtime.kind)
        tables.append(pyarrow.parquet.read_table(solved.directory / "answers.parquet"))
    assert tables[0].equals(tables[1])


def test_search_reads_the_label_of_another_part_and_both_answer(
    encoders: list[str], corpus_file: Path, bank: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "desk.yaml", tmp_path / "out"
    values = composite_values(encoders[:1], corpus_file)
    search = rank_values(encoders[:1], bank)["task"]
    values["task"]["parts"]["reader"]["task"] = search
    file.write_text(yaml.safe_dump(values))
    shown = run("solve", str(file), "--out", str(out)).output
    for word in ("topic", "reader", "accuracy", "nDCG@10", "from the text alone"):
        assert word in " ".join(shown.split())
    assert (out / "report.html").is_file()
    results = json.loads((out / "results.json").read_text())
    assert [part["name"] for part in results["parts"]] == ["topic", "reader"]
    assert results["parts"][0]["text_alone"] is None
    documents = [json.loads(line)["document"] for line in bank.read_text().splitlines()]
    topics = {"sea", "farm", "town", "sky"}
    corpus = (out / "texts" / "reader" / "corpus.jsonl").read_text(encoding="utf-8")
    read = [json.loads(line) for line in corpus.splitlines()]
    for row, document in zip(read, documents, strict=True):
        label, _, text = row["text"].partition(" ")
        assert label in topics
        assert text == document
    (reply,) = json.loads(run("ask", str(out), "wave tide ship", "--json").output)["replies"]
    assert reply["parts"]["topic"]["label"] in topics
    assert reply["parts"]["reader"]["hits"][0]["text"].partition(" ")[0] in topics
    assert "topic: " in run("ask", str(out), "wave tide ship").output


@pytest.mark.slow
def test_part_reads_answers_to_texts_that_no_part_before_it_was_fitted_on(
    encoders: list[str], corpus_file: Path, tmp_path: Path
) -> None:
    config = CompositeTask.model_validate(composite_values(encoders[:1], corpus_file))
    first = solve(config, tmp_path / "out")
    folder = first.directory
    topic = pyarrow.parquet.read_table(folder / "parts" / "topic" / "answers.parquet").to_pydict()
    answered = dict(zip(topic["text"], topic["decided"], strict=True))  # its test texts alone
    read, plain = (
        pyarrow.parquet.read_table(folder / "texts" / name).to_pydict()["text"]
        for name in ("reader.parquet", "reader-text-alone.parquet")
    )
    bench = Bench.of(configuration_of(config, "topic", config.task.parts["topic"].task))
    used = np.concatenate([bench.rows("fit"), bench.rows("calibrate")])
    assert not {texts[0] for texts in bench.texts(used)} & set(plain)
    assert set(answered) <= set(plain)
    for text, as_read in zip(plain, read, strict=True):
        assert as_read == f"{answered.get(text, as_read.partition(' ')[0])} {text}"
    again = solve(config, folder)
    assert isinstance(again, SolvedParts)
    assert again.as_json() == first.as_json()


def test_gain_counts_only_beyond_doubt() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=200)
    assert beats(base + 0.5 + 0.1 * rng.normal(size=200), base)
    assert not beats(base + rng.normal(size=200), base + 0.5)
    assert not beats(base, base)
    assert not beats(base[:1] + 1, base[:1])


def test_near_duplicates_stay_on_one_side() -> None:
    groups = np.arange(90) // 3
    split = parts_of(groups, 0.3, np.random.default_rng(0))
    assert sorted([*split.calibrate, *split.test]) == list(range(90))
    assert not set(groups[split.calibrate]) & set(groups[split.test])
    assert len(split.calibrate) == 27
