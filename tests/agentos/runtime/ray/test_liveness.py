"""Deaths of Ray's own processes, on a node that stands for Ray's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agentos.runtime.ray import liveness
from agentos.runtime.ray.liveness import Liveness
from protocols.errors import RuntimeFailure


def stand_in(monkeypatch: pytest.MonkeyPatch, dead: list[str]) -> None:
    """Let the processes with these names have ended."""
    node = SimpleNamespace(
        all_processes={"raylet": [1], "gcs_server": [2]},
        dead_processes=lambda: [(name, object()) for name in dead],
    )
    monkeypatch.setattr(liveness, "_node", lambda: node)


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_death_of_a_process_that_every_call_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stand_in(monkeypatch, ["dashboard", name])
    with pytest.raises(RuntimeFailure, match="while hosts were to train") as caught:
        Liveness().require("train")
    assert caught.value.actual == f"{name} ended"
    assert "resume" in str(caught.value.hint)


def test_death_of_another_process_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, ["dashboard", "log_monitor"])
    Liveness().require("train")
