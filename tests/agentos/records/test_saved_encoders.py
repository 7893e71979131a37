from __future__ import annotations

from pathlib import Path

import pytest

from agentos.records.saved_encoders import find_encoder
from protocols.errors import ConfigurationError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder like that of a run of three agents."""
    folder = tmp_path / "run"
    for agent in (0, 1, 10):
        encoder = folder / "encoders" / f"agent-{agent}"
        encoder.mkdir(parents=True)
        (encoder / "config.json").write_text("{}")
    (folder / "config.yaml").write_text("name: run\n")
    return folder


def test_encoder_is_that_of_the_agent_or_of_the_first(run: Path) -> None:
    assert find_encoder(run) == run / "encoders" / "agent-0"
    assert find_encoder(run, 10) == run / "encoders" / "agent-10"


def test_folder_of_an_encoder_is_itself(run: Path) -> None:
    folder = run / "encoders" / "agent-1"
    assert find_encoder(folder) == folder
    with pytest.raises(ConfigurationError, match="one encoder, not a run"):
        find_encoder(folder, 1)


def test_agent_that_the_run_does_not_have_is_refused_naming_those_it_has(run: Path) -> None:
    with pytest.raises(ConfigurationError, match="no encoder of agent 4") as error:
        find_encoder(run, 4)
    assert error.value.expected == "one of 0, 1, 10"


def test_run_that_was_interrupted_has_no_encoders(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: run\n")
    with pytest.raises(ConfigurationError, match="has saved no encoders"):
        find_encoder(tmp_path)


def test_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="neither a run folder nor an encoder"):
            find_encoder(path)
