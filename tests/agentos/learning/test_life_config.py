from __future__ import annotations

from pathlib import Path

import pytest

from agentos.config.field_errors import InvalidConfiguration
from agentos.learning.config import LifeConfig, load_life
from agentos.learning.learners import LEARNERS, Replay
from agents.continual import ER
from protocols.errors import ConfigurationError

TEXT = """
from: quickstart
set:
  data.private_labels: null
  objectives: [info_nce]
  exchange: anchor_similarity
  evaluation.tasks: [geometry]
stream: {kind: by_label, per_episode: 2, labelled: 0.1}
learn: {kind: er, weight: 2.0, replay: {texts: 100}}
label: committee
gate: {drop: 0.02}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "life.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_file_is_read_with_overrides(file: Path) -> None:
    life = load_life(str(file), ["learn.weight=3.0", "gate.alpha=0.01"])
    assert isinstance(life.learn, Replay)
    assert life.learn.weight == 3.0
    assert life.gate is not None
    assert (life.gate.alpha, life.gate.drop) == (0.01, 0.02)
    assert LifeConfig.model_validate(life.model_dump(by_alias=True, serialize_as_any=True)) == life


def test_mistakes_in_a_file_are_named(file: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="gate"):
        load_life(str(file), ["gate.alpha=2"])
    with pytest.raises(ConfigurationError, match="not an override"):
        load_life(str(file), ["gate.alpha"])
    with pytest.raises(InvalidConfiguration) as error:
        load_life(str(file), ["runtime=local"])
    assert "from" in error.value.problems[0].allowed.split(", ")


def test_near_duplicates_are_left_to_the_stream(file: Path) -> None:
    constant = "set.training.schedule=constant"
    assert load_life(str(file), [constant]).run().data.near_duplicates is None
    other = file.read_text("utf-8").replace(
        "set:", "set:\n  data.near_duplicates: {threshold: 0.9}"
    )
    file.write_text(other, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="left out by the stream"):
        load_life(str(file), [constant]).run()


def test_run_that_decays_its_learning_rate_is_refused(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.schedule"):
        load_life(str(file)).run()


def test_kind_is_the_key_in_the_table_of_learners() -> None:
    for kind, cls in LEARNERS.items():
        assert cls().kind == kind
        assert cls.__doc__


def test_replay_is_an_objective() -> None:
    learner = Replay(drawn=8, weight=2.0)
    retention = learner.retention()
    assert isinstance(retention, ER)
    assert (retention.drawn, retention.weight) == (8, 2.0)
