"""A new agent of another size learns from what elders found about the anchors, for a share of their steps."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agentos import Simulation
from agentos.cli.main import app
from agentos.config.field_errors import InvalidConfiguration
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.learning.curriculum import draw_up
from agentos.learning.life import Life, LifeListener
from agentos.learning.transfer.elder_society import encoders_in, society_of
from agentos.learning.transfer.newcomer import (
    keep,
    newcomer,
    similarities_of,
    transfer,
)
from agents.exchange.anchors.elders import Elders, read_similarities
from protocols.errors import ConfigurationError, DataError, RecordError


@pytest.fixture(scope="module")
def society(small, tmp_path_factory, cache) -> Path:
    """A finished run of four small agents."""
    folder = tmp_path_factory.mktemp("transfer") / "society"
    config = small(exchange="anchor_similarity", training={**TRAINING, "rounds": 4})
    Simulation(config, folder, cache=cache).run()
    return folder


FILE = Path("file.npy")
TRAINING = {"local_steps": 4, "batch_size": 12, "max_length": 16, "warmup_steps": 2}


def test_new_agent_of_another_size_is_compared_with_one_from_scratch(
    society: Path, tmp_path: Path, cache: Path
) -> None:
    found = transfer(society, ["encoder.preset=tiny"], tmp_path / "new", cache=cache)
    assert found.taught_tokens == found.scratch_tokens > 0
    assert 0.15 < found.token_share < 0.35
    assert found.elders.keys() >= found.taught.keys() == found.scratch.keys() >= {"mrr"}
    assert dict(found.taught) != dict(found.scratch)
    again = transfer(society, ["encoder.preset=tiny"], tmp_path / "again", cache=cache)
    assert (again.taught, again.scratch) == (found.taught, found.scratch)


def test_life_hands_on_what_it_knows_and_new_agents_are_tested_on_its_tests(
    life_of, tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "life"
    config = life_of(gate=None)
    record = Life(config, folder, cache=cache).run()
    found = transfer(folder, ["encoder.preset=tiny"], tmp_path / "new", cache=cache)
    assert all("probe_accuracy" in each for each in (found.elders, found.taught, found.scratch))
    assert 0 < found.taught_tokens < found.elder_tokens
    spent = sum(each.spent["tokens"] for each in record.episodes)
    assert found.elder_tokens == spent / 2

    corpus = society_of(folder, Listener(), cache).corpus
    curriculum = draw_up(config, LifeListener(), cache)
    np.testing.assert_array_equal(corpus.anchors, curriculum.corpus.anchors)
    for part, rows in (("train", corpus.train), ("test", corpus.heldout)):
        parts = [getattr(episode, part) for episode in curriculum.episodes]
        np.testing.assert_array_equal(rows, np.sort(np.concatenate(parts)))

    other = json.loads((folder / "life.json").read_text())
    other["config"]["text"] = "0" * 32
    (folder / "life.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="not what it was"):
        society_of(folder, Listener(), cache)
    shutil.rmtree(folder / "states-2")
    with pytest.raises(ConfigurationError, match="no encoders"):
        society_of(folder, Listener(), cache)


def test_elders_teach_the_mean_of_their_similarities(society: Path) -> None:
    elders, texts = (
        encoders_in(society),
        ["a red wine", "a white wine", "the town", "a green field"],
    )
    assert len(elders) == 4
    slow = np.zeros((4, 4))
    for elder in elders:
        rows = LoadedEncoder.load(str(elder)).plain.embed(texts).astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for i in range(4):
            powers = [np.exp(rows[i] @ rows[j] / 0.1) if i != j else 0.0 for j in range(4)]
            slow[i] += np.array(powers) / sum(powers) / 4
    np.testing.assert_allclose(similarities_of(elders, texts), slow, atol=1e-5)


def test_share_is_a_share_of_the_steps_of_an_elder(small) -> None:
    before = small(training={**TRAINING, "rounds": 6, "local_steps": 40})
    for share, expected in ((0.25, (2, 30)), (1.0, (6, 40)), (0.001, (1, 1)), (0.5, (3, 40))):
        found = newcomer(before, [], share, FILE, 6).training
        assert (found.rounds, found.local_steps) == expected
    with pytest.raises(ConfigurationError, match="share"):
        newcomer(before, [], 1.5, FILE, 6)
    with pytest.raises(InvalidConfiguration):
        newcomer(before, ["encoder.preset=huge"], 0.25, FILE, 6)


def test_lone_agent_has_its_elders_data_and_no_more_of_their_society(small) -> None:
    before = small(topology="complete", exchange="fedavg")
    found = newcomer(before, ["encoder.preset=tiny"], 0.5, FILE, 6)
    assert found.agents.total == 1
    assert found.agents.resolved[0].encoder.preset == "tiny"
    assert found.data.source == before.data.source
    assert found.data.anchors == before.data.anchors
    assert isinstance(found.exchange, Elders)


def test_file_of_other_anchors_is_refused(tmp_path: Path) -> None:
    kept = keep(np.eye(4, dtype=np.float32), tmp_path / "elders")
    np.testing.assert_array_equal(read_similarities(str(kept), 4), np.eye(4))
    assert keep(np.eye(4, dtype=np.float32), tmp_path / "elders") == kept
    with pytest.raises(RecordError, match="these anchors"):
        read_similarities(str(kept), 5)
    (tmp_path / "other.npy").write_bytes(b"nothing")
    for name in ("other.npy", "absent.npy"):
        with pytest.raises(RecordError, match=name):
            read_similarities(str(tmp_path / name), 4)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(RecordError):  # reading runs no code
        read_similarities(str(tmp_path / "objects.npy"), 1)


def test_command_prints_the_comparison(
    society: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    for flag in ([], ["--json"]):
        out = tmp_path / f"out{len(flag)}"
        result = CliRunner().invoke(
            app, ["transfer", str(society), "--out", str(out), *flag], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        if flag:
            values = json.loads(result.output)
            assert values["taught"]["tokens"] == values["scratch"]["tokens"]
        else:
            assert "from scratch" in result.output
            assert "%" in result.output


def test_python_in_the_documentation_runs(
    society: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[4] / "docs/how-to/knowledge.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    defined: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, page.name, "exec", dont_inherit=True), defined)
    assert -1.0 < defined["join"](society) < 1.0


def test_unfinished_run_teaches_nothing(small, tmp_path: Path, cache: Path) -> None:
    with pytest.raises((ConfigurationError, RecordError)):
        transfer(tmp_path / "nowhere", cache=cache)
