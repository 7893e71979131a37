"""A life that begins from a finished run: its encoders, its text, and what they had read before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agentos import RunConfig, Simulation
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import draw_up
from agentos.learning.finished_run import values_of
from agentos.learning.life import Life, LifeListener
from agentos.records.layout import CONFIG
from agentos.runtime.host_calls import Begin, EmbedTexts
from protocols.errors import AgentOSError, ConfigurationError, DataError, RecordError


@pytest.fixture(scope="module")
def ended(
    small_values: dict[str, Any], corpus_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run of two agents, on a copy of the documents."""
    folder = tmp_path_factory.mktemp("ended")
    shutil.copy(corpus_file, folder / "text.jsonl")
    source = {"kind": "jsonl", "path": str(folder / "text.jsonl"), "label": "label"}
    data = {**small_values["data"], "source": source, "anchors": 12, "partition": "iid"}
    agents = {"count": 2, "encoder": {"preset": "nano"}}
    config = RunConfig.model_validate({**small_values, "data": data, "agents": agents})
    Simulation(config, out=folder / "run", cache=folder / "cache").run()
    return folder


@pytest.fixture
def begun_from() -> Callable[..., LifeConfig]:
    def make(run: Path, fields: dict[str, Any] | None = None, **changes: Any) -> LifeConfig:
        values = {
            "from": str(run),
            "set": fields or {},
            "stream": {"kind": "by_label", "per_episode": 1, "first": 2, "labelled": 0.4},
            "learn": "er",
            "gate": None,
        }
        return LifeConfig.model_validate({**values, **changes})

    return make


def test_life_begins_with_the_encoders_of_the_run(ended: Path, begun_from) -> None:
    curriculum = draw_up(begun_from(ended / "run"), LifeListener(), ended / "cache")
    texts = curriculum.texts(curriculum.episodes[0].test[:3])
    with curriculum.config.runtime.start(curriculum.blueprint) as session:
        session.call_all(Begin(curriculum.arm()))
        for agent, host in session.placement.items():
            rows = session.ask({host: EmbedTexts(texts, (agent,))})[agent]
            saved = LoadedEncoder.load(str(ended / "run" / "encoders" / f"agent-{agent}"))
            np.testing.assert_allclose(rows, saved.plain.embed(texts), rtol=1e-3, atol=1e-5)


def test_records_say_how_much_of_the_tests_was_read_before(
    ended: Path, begun_from, tmp_path: Path
) -> None:
    record = Life(begun_from(ended / "run"), tmp_path / "life", cache=ended / "cache").run()
    assert record.seen is not None
    assert 0.5 < record.seen < 1.0  # the run held a quarter out
    assert "Pretrained" in (tmp_path / "life" / "report.md").read_text(encoding="utf-8")
    assert "Pretrained" in (tmp_path / "life" / "report.html").read_text(encoding="utf-8")


def test_text_that_the_run_has_not_read_is_not_counted(
    ended: Path, begun_from, tmp_path: Path
) -> None:
    lines = (ended / "text.jsonl").read_text(encoding="utf-8").splitlines()
    new = [{**json.loads(line)} for line in lines]
    for number, document in enumerate(new):
        document["text"] += f" postscript {number} " + " ".join(f"n{number}x{i}" for i in range(9))
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(map(json.dumps, new)) + "\n", encoding="utf-8")
    fields = {"data.source.path": str(path), "data.tokenizer.max_unknown_rate": 1.0}
    curriculum = draw_up(begun_from(ended / "run", fields), LifeListener(), ended / "cache")
    assert curriculum.seen == 0.0


def test_life_is_the_same_wherever_the_run_lies(ended: Path, begun_from, tmp_path: Path) -> None:
    shutil.copytree(ended / "run", tmp_path / "moved")
    for run in (ended / "run", tmp_path / "moved"):  # the second goes on where the first ended
        record = Life(begun_from(run), tmp_path / "life", cache=ended / "cache").run()
    assert len(record.episodes) == 3
    weights = next((tmp_path / "moved" / "encoders" / "agent-1").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(AgentOSError):
        Life(begun_from(tmp_path / "moved"), tmp_path / "life", cache=ended / "cache").run()


def test_changed_text_of_the_run_is_refused(ended: Path, begun_from, tmp_path: Path) -> None:
    shutil.copytree(ended / "run", tmp_path / "run")
    text = tmp_path / "text.jsonl"
    text.write_text((ended / "text.jsonl").read_text(encoding="utf-8")[::1], encoding="utf-8")
    config = yaml.safe_load((tmp_path / "run" / CONFIG).read_text(encoding="utf-8"))
    config["data"]["source"]["path"] = str(text)
    (tmp_path / "run" / CONFIG).write_text(yaml.safe_dump(config), encoding="utf-8")
    lines = text.read_text(encoding="utf-8").splitlines()
    document = json.loads(lines[3])
    lines[3] = json.dumps({**document, "text": document["text"] + " and something else"})
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="no longer what it read"):
        draw_up(begun_from(tmp_path / "run"), LifeListener(), ended / "cache")


def test_agents_of_the_run_cannot_be_changed(ended: Path) -> None:
    with pytest.raises(ConfigurationError, match="are those of the run"):
        values_of(ended / "run", ["training.rounds", "agents.count"])


def test_folder_that_is_no_finished_run_is_refused(ended: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not the folder of a run"):
        values_of(tmp_path, [])
    shutil.copytree(ended / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "encoders")
    with pytest.raises(ConfigurationError, match="has saved no encoders"):
        values_of(tmp_path / "run", [])


def test_link_out_of_the_run_is_refused(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended / "run", tmp_path / "run")
    (tmp_path / "run" / "more").symlink_to(ended)
    with pytest.raises(RecordError, match="leads out of"):
        values_of(tmp_path / "run", [])
