"""A run from its configuration to its folder: what it leaves there, and that the numbers agree."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agentos import Result, RunConfig, Simulation
from agentos.events import Listener
from agentos.events.progress_bar import ProgressBar
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.models.text_encoder import FunctionEncoder
from protocols.errors import ConfigurationError, ModelError, RecordError, RuntimeFailure
from protocols.messages import Embeddings, Message
from protocols.wire.serialize import encode

AGENTS, ROUNDS, ANCHORS, WIDTH, CROPS = 4, 2, 32, 64, 2
LEFT_BEHIND = (
    *("config.yaml", "environment.json", "network.json", "metrics.jsonl", "isolated/metrics.jsonl"),
    *("ledger.parquet", "summary.json", "report.html", "tensorboard"),
    *(f"encoders/agent-{agent}" for agent in range(AGENTS)),
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ledger(directory: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet

    columns: dict[str, list[Any]] = pyarrow.parquet.read_table(
        directory / "ledger.parquet"
    ).to_pydict()
    return columns


@pytest.fixture
def run(cache: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run a configuration into a new folder."""

    def go(config: RunConfig, name: str = "run", listener: Listener | None = None) -> Result:
        return Simulation(config, out=tmp_path / name, listener=listener, cache=cache).run()

    return go


# What it leaves behind


def test_folder_holds_what_the_readme_lists(finished: Any) -> None:
    for name in LEFT_BEHIND:
        assert (finished.directory / name).exists(), name
    assert any((finished.directory / "tensorboard").rglob("events.out.tfevents.*"))


def test_summary_has_what_was_promised(finished: Any) -> None:
    summary = json.loads((finished.directory / "summary.json").read_text(encoding="utf-8"))
    assert summary == finished.result.as_json()
    assert (summary["name"], summary["seed"], summary["status"]) == ("small", 0, "finished")
    assert (summary["rounds"], summary["steps"]) == (ROUNDS, 4)
    assert len(summary["round_s"]) == ROUNDS
    assert summary["wall_s"] > sum(summary["round_s"]) > 0
    assert summary["bytes"]["by_kind"] == {"embeddings": summary["bytes"]["total"]}
    metrics = {metric.name for metric in finished.config.evaluation.metrics}
    for arm in (summary, summary["before"], summary["isolated"]):
        assert arm["agents"].keys() == {f"agent-{agent}" for agent in range(AGENTS)}
        assert all(values.keys() == metrics for values in arm["agents"].values())
        assert arm["mean"].keys() == arm["worst"].keys() == metrics
        for metric in metrics:
            values = [values[metric] for values in arm["agents"].values()]
            assert arm["mean"][metric] == pytest.approx(np.mean(values))
            assert arm["worst"][metric] == min(values)


def test_agents_that_exchange_nothing_and_read_anchors_are_the_baseline(
    finished: Any, run: Callable[..., Result]
) -> None:
    share = finished.config.exchange.anchor_share
    values = {**finished.config.resolved(), "exchange": {"kind": "isolated", "anchor_share": share}}
    alone = run(RunConfig.model_validate(values))
    assert alone.isolated is None
    assert alone.bytes.total == 0
    baseline = finished.directory / "isolated" / "metrics.jsonl"
    timeless = [
        [
            {key: value for key, value in row.items() if not key.endswith("_s")}
            for row in lines(path)
        ]
        for path in (alone.directory / "metrics.jsonl", baseline)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("file", ["metrics.jsonl", "isolated/metrics.jsonl"])
def test_metrics_have_one_line_per_agent_and_round(finished: Any, file: str) -> None:
    rows = lines(finished.directory / file)
    found = Counter((row["round"], row["agent"]) for row in rows)
    expected = [(r, f"agent-{agent}") for r in range(ROUNDS + 1) for agent in range(AGENTS)]
    assert found == Counter(expected)
    trained = {
        "loss",
        "tokens",
        "anchor_tokens",
        "steps",
        "bytes_sent",
        "bytes_received",
        "rejected",
    }
    for row in rows:
        assert trained <= row.keys() if row["round"] else not (trained & row.keys())


def test_both_arms_begin_with_the_same_agents(finished: Any) -> None:
    together, isolated = (
        [row for row in lines(finished.directory / file) if row["round"] == 0]
        for file in ("metrics.jsonl", "isolated/metrics.jsonl")
    )
    assert together == isolated


def test_arms_part_after_the_first_exchange(finished: Any) -> None:
    arms = [lines(finished.directory / f) for f in ("metrics.jsonl", "isolated/metrics.jsonl")]
    losses = [{row["round"]: row["loss"] for row in arm if "loss" in row} for arm in arms]
    assert losses[0][1] == losses[1][1]
    assert losses[0][2] != losses[1][2]


def test_configuration_of_the_folder_is_the_run(finished: Any) -> None:
    values = yaml.safe_load((finished.directory / "config.yaml").read_text(encoding="utf-8"))
    values["training"]["precision"] = "auto"  # the folder names what it became
    assert RunConfig.model_validate(values) == finished.config


def test_result_is_what_the_records_say(finished: Any) -> None:
    result, rows = finished.result, lines(finished.directory / "metrics.jsonl")
    last = {row["agent"]: row for row in rows if row["round"] == ROUNDS}
    for agent, values in result.agents.items():
        assert {name: last[agent][name] for name in values} == values
    assert result.tokens == sum(row.get("tokens", 0) for row in rows)
    assert result.anchor_tokens == sum(row.get("anchor_tokens", 0) for row in rows)
    assert 0 < result.anchor_tokens < result.tokens


# Bytes


def test_ledger_sums_to_the_summary_and_to_every_agents_metrics(finished: Any) -> None:
    rows = ledger(finished.directory)
    assert sum(rows["payload_bytes"]) == finished.result.bytes.total
    sent: Counter[str] = Counter()
    for sender, size in zip(rows["sender"], rows["payload_bytes"], strict=True):
        sent[f"agent-{sender}"] += size
    told: Counter[str] = Counter()
    for row in lines(finished.directory / "metrics.jsonl"):
        told[row["agent"]] += row.get("bytes_sent", 0)
    assert sent == told


def test_size_of_every_message_is_that_of_its_numbers_and_a_header(finished: Any) -> None:
    rows = ledger(finished.directory)
    # Every agent speaks to its two neighbours at the end of round 1; after the last, no agent does.
    assert len(rows["round"]) == 2 * AGENTS
    assert set(rows["round"]) == {1}
    numbers = 4 * CROPS * ANCHORS * WIDTH  # float32
    values = np.zeros((CROPS, ANCHORS, WIDTH), dtype=np.float32)
    for sender, size in zip(rows["sender"], rows["payload_bytes"], strict=True):
        assert size > numbers
        assert (size - numbers) % 64 == 0
        assert size - numbers <= 512
        message = Message.compose(Embeddings(values=values), sender=sender, round=1, hop=0)
        assert size == encode(message).nbytes


# Encoders


def test_exported_encoders_load_and_measure_as_they_did(finished: Any, cache: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    corpus = prepare_corpus(finished.config, Listener(), cache)
    evaluate = blueprint_of(finished.config, corpus, Listener(), cache).evaluate
    seen = []
    for agent in (0, AGENTS - 1):
        folder = finished.directory / "encoders" / f"agent-{agent}"
        model = AutoModel.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)

        def embed(texts: Any, model: Any = model, tokenizer: Any = tokenizer) -> np.ndarray:
            batch = tokenizer(
                list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            with torch.inference_mode():
                states = model(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
                ).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            pooled: np.ndarray = ((states * mask).sum(1) / mask.sum(1)).numpy()
            return pooled

        # Up to where rounding turns the order of two near-equal texts.
        measured, _ = evaluate(FunctionEncoder(embed))
        assert measured["mrr"] == pytest.approx(
            finished.result.agents[f"agent-{agent}"]["mrr"], abs=0.02
        )
        seen.append(embed(["the wave and the sail"]))
    assert seen[0].shape == (1, WIDTH)
    assert not np.allclose(seen[0], seen[1])


def test_heads_are_saved_beside_encoders_of_unlike_widths(
    small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    from safetensors.numpy import load_file

    groups = [
        {"count": 1, "encoder": {"preset": "tiny"}},
        {"count": 1, "encoder": {"preset": "nano"}},
    ]
    config = small(
        agents={"groups": groups},
        exchange={"kind": "anchor_contrast", "dimension": 16},
        training={"rounds": 1, "local_steps": 1, "batch_size": 12, "max_length": 16},
        baseline={"isolated": False},
    )
    encoders = run(config).directory / "encoders"
    shapes = [load_file(encoders / f"agent-{i}" / "heads.safetensors") for i in range(2)]
    assert [heads["exchange_head.weight"].shape for heads in shapes] == [(16, 128), (16, 64)]


# The comparison


@pytest.mark.parametrize("exchange", ["anchor_similarity", "pseudo_labels"])
def test_both_arms_train_on_as_many_tokens(
    exchange: str, small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    options = {"classes": 4} if exchange == "pseudo_labels" else {}
    result = run(small(exchange={"kind": exchange, **options}))
    assert result.isolated is not None
    assert result.isolated.tokens == result.tokens


def test_both_arms_of_anchor_contrast_train_on_as_many_tokens(finished: Any) -> None:
    assert finished.result.isolated.tokens == finished.result.tokens
    for file in ("metrics.jsonl", "isolated/metrics.jsonl"):
        rows = [row for row in lines(finished.directory / file) if row["round"]]
        assert sum(row["tokens"] for row in rows) == finished.result.tokens
        assert sum(row["anchor_tokens"] for row in rows) == finished.result.anchor_tokens


def test_lone_agents_read_no_anchors_unless_they_are_to(
    small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    result = run(small(baseline={"anchors_as_text": False}))
    rows = lines(result.directory / "isolated" / "metrics.jsonl")
    assert sum(row.get("anchor_tokens", 0) for row in rows) == 0
    assert result.anchor_tokens > 0


@pytest.mark.parametrize("changes", [{"exchange": "isolated"}, {"baseline": {"isolated": False}}])
def test_run_without_a_comparison_has_no_second_arm(
    changes: dict[str, Any], small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    result = run(small(**changes))
    assert result.isolated is None
    assert not (result.directory / "isolated").exists()
    assert (result.bytes.total == 0) == ("exchange" in changes)


def test_fedavg_leaves_every_agent_with_the_same_encoder(
    small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    config = small(topology="master_slave", exchange="fedavg", baseline={"isolated": False})
    result = run(config)
    # The mean that centred metrics are without is that of each agent's own text.
    plain = [
        {name: value for name, value in values.items() if not name.startswith("centered_")}
        for values in result.agents.values()
    ]
    assert all(values == plain[0] for values in plain)
    weights = [
        (result.directory / "encoders" / f"agent-{agent}" / "model.safetensors").read_bytes()
        for agent in range(AGENTS)
    ]
    assert len(set(weights)) == 1
    # Three up and three down, in both rounds, all of one size.
    sizes = ledger(result.directory)["payload_bytes"]
    assert len(sizes) == 2 * 6
    assert max(sizes) - min(sizes) <= 64


# How it begins


class Told(Listener):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_stage(self, what: str) -> None:
        self.heard.append(what.split(":")[0])

    def on_corpus(self, corpus: Any) -> None:
        self.heard.append(len(corpus.shards))

    def on_round(self, report: Any) -> None:
        self.heard.append((report.arm, report.round))


def test_listener_hears_every_stage_and_round(
    small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    told = Told()
    run(small(), listener=told)
    stages = list(dict.fromkeys(told.heard))
    assert stages == [
        *("Reading text", AGENTS, "Tokenising", "Starting hosts"),
        *(("together", round) for round in range(3)),
        "Comparing agents",
        "Saving encoders",
        *(("isolated", round) for round in range(3)),
    ]


def test_folder_is_claimed_before_any_text_is_read(
    small_values: dict[str, Any], small: Callable[..., RunConfig], tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    source = {"kind": "jsonl", "path": "nowhere.jsonl"}
    config = small(data={**small_values["data"], "source": source, "partition": "iid"})
    with pytest.raises(RecordError, match="is not empty"):
        Simulation(config, out=tmp_path).run()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"evaluation": {"tasks": ["retrieval", "probe", "knn"], "max_length": 600}}, ModelError),
        ({"agents": {"count": 4, "encoder": {"path": "nowhere"}}}, ModelError),
        ({"agents": {"count": 400}, "topology": "complete"}, ConfigurationError),
    ],
)
def test_run_that_cannot_begin_leaves_no_folder(
    changes: dict[str, Any],
    error: type[Exception],
    small: Callable[..., RunConfig],
    run: Callable[..., Result],
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        run(small(**changes))
    assert not (tmp_path / "run").exists()


def test_folder_is_made_under_runs_if_none_is_given(
    small: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = Simulation(small()).directory
    assert first.parent == Path("runs")
    assert first.name.startswith("small-2")
    assert first.is_dir()
    assert len({Simulation(small()).directory for _ in range(4)} | {first}) == 5


def test_second_run_of_a_process_is_refused_and_the_first_is_as_it_is_alone(
    small: Callable[..., RunConfig],
    run: Callable[..., Result],
    finished: Any,
    cache: Path,
    tmp_path: Path,
) -> None:
    refused: list[RuntimeFailure] = []

    class Another(Listener):
        def on_round(self, report: Any) -> None:
            if (report.arm, report.round) == ("together", 1):
                thread = threading.Thread(target=self.run)
                thread.start()
                thread.join()

        def run(self) -> None:
            try:
                Simulation(small(), tmp_path / "other", cache=cache).run()
            except RuntimeFailure as error:
                refused.append(error)

    result = run(finished.config, listener=Another())
    assert "another run is under way in this process" in refused[0].message
    assert not (tmp_path / "other").exists()
    for name in ("metrics.jsonl", "isolated/metrics.jsonl"):
        assert (result.directory / name).read_bytes() == (finished.directory / name).read_bytes()
    run(small(training={"rounds": 1, "local_steps": 1}), "next")


def test_cache_is_where_the_environment_says(
    small: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(tmp_path / "cache"))
    prepare_corpus(small(), Listener())
    assert any((tmp_path / "cache" / "corpora").iterdir())


def test_every_contrastive_option_trains_in_a_society_and_reports_its_temperature(
    small: Callable[..., RunConfig], run: Callable[..., Result]
) -> None:
    info_nce = {
        "kind": "info_nce",
        "queue": 16,
        "momentum": 0.9,
        "neighbours": True,
        "guide": "momentum",
        "hardness": 0.5,
        "learn_temperature": True,
    }
    result = run(small(objectives=[info_nce, "nt_xent", "simcse"]))
    reported = lines(result.directory / "metrics.jsonl")
    trained = [line for line in reported if "temperature" in line]
    assert len(trained) == ROUNDS * AGENTS
    assert all(0.03 < line["temperature"] < 0.07 for line in trained)
    assert all({"info_nce_loss", "nt_xent_loss", "simcse_loss"} <= line.keys() for line in trained)


def test_progress_is_shown_while_it_runs_and_changes_no_number(
    small: Callable[..., RunConfig],
    finished: Any,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    seen: list[tuple[str, int]] = []
    show = ProgressBar.on_round
    monkeypatch.setattr(
        ProgressBar, "on_round", lambda bar, r: (seen.append((r.arm, r.round)), show(bar, r))
    )
    simulation = Simulation(finished.config, out=tmp_path / "run", cache=cache)
    result = simulation.run(progress=True)
    assert seen == [(arm, round) for arm in ("together", "isolated") for round in range(ROUNDS + 1)]
    assert result.agents == finished.result.agents
