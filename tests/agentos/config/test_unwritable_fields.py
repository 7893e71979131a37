"""Values that a configuration file cannot hold are refused by name, before anything is prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from agentos import RunConfig, Simulation
from agents.objectives.info_nce import InfoNCE
from protocols.errors import ConfigurationError


class Teaching(InfoNCE):
    kind: Literal["teaching"] = "teaching"  # type: ignore[assignment]
    teacher: Any = None
    mine: Any = Field(default=None, exclude=True)


def test_an_object_is_refused_by_its_field_before_the_text_is_read(
    small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "agentos.simulation.simulation.prepare_corpus", lambda *_: pytest.fail("read")
    )
    config = small(objectives=(InfoNCE(), Teaching(teacher=object())))
    with pytest.raises(
        ConfigurationError, match=r"^objectives\.1\.teacher cannot be written"
    ) as caught:
        Simulation(config, out=tmp_path / "run").run()
    assert "exclude=True" in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


def test_an_excluded_object_is_left_out(small: Callable[..., RunConfig]) -> None:
    config = small(objectives=(Teaching(mine=object()),))
    assert "mine" not in config.resolved()["objectives"][0]
