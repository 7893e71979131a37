"""Completion offers fields that exist and values that are taken, in every shell's way of splitting words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentos.cli.arguments import complete_runs
from agentos.cli.main import main
from agentos.config.completion import completed_overrides
from agentos.config.load import load
from agentos.learning.config import LifeConfig
from agentos.learning.labelling import LABELLERS
from agentos.records.layout import STARTING
from agentos.tasks.config import Task
from agents.exchange import EXCHANGES
from protocols.spec import Spec


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["topology.ki"], ["topology.kind="]),
        (["training.rou"], ["training.rounds="]),
        (["agents.encoder.pres"], ["agents.encoder.preset="]),
        (["exchange.codec=int"], ["exchange.codec=int8"]),
        (["data.source.kind=j"], ["data.source.kind=jsonl"]),
        (["data.anchor_source=j"], ["data.anchor_source=jsonl"]),
        (["data.anchor_source.kind", "=", "j"], ["jsonl"]),
        (["baseline.isolated="], ["baseline.isolated=true", "baseline.isolated=false"]),
        (["training.schedule", "=", "cos"], ["cosine"]),
        (["baseline.isolated", "="], ["true", "false"]),
        (["nothing=x"], []),
        (["nothing", "=", "x"], []),
    ],
)
def test_words_go_on_as_a_run_takes_them(words: list[str], found: list[str]) -> None:
    assert completed_overrides(words[-1], words[:-1]) == found


def test_every_kind_of_exchange_is_offered() -> None:
    assert completed_overrides("exchange=") == [f"exchange={kind}" for kind in EXCHANGES]


@pytest.mark.parametrize(
    ("config", "typed", "found"),
    [
        (Task, "fuse=st", ["fuse=stacking"]),
        (Task, "defer.bud", ["defer.budget="]),
        (LifeConfig, "learn.kind=e", ["learn.kind=er", "learn.kind=ewc"]),
        (LifeConfig, "gate.dr", ["gate.drop="]),
        (LifeConfig, "label=", [f"label={kind}" for kind in LABELLERS]),
    ],
)
def test_fields_of_tasks_and_lives_are_offered(
    config: type[Spec], typed: str, found: list[str]
) -> None:
    assert completed_overrides(typed, config=config) == found


def test_runs_are_offered_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ring", "rows", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("ring", "other"):
        (tmp_path / "runs" / name / STARTING).touch()
    monkeypatch.chdir(tmp_path)
    assert complete_runs("r") == ["ring"]


def test_fields_of_the_section_training_can_be_set() -> None:
    shown = load("quickstart").resolved()["training"]
    offered = {each for each in completed_overrides("training.") if each.count(".") == 1}
    assert {f"training.{name}=" for name in shown if name != "optimizer"} <= offered


def test_shell_is_given_kinds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["agentos"])
    monkeypatch.setattr(
        sys.modules["__main__"], "__package__", None
    )  # as the script, not as a module
    monkeypatch.setenv("_AGENTOS_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "agentos run quickstart exchange=fedpr")
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert "exchange=fedprox" in said
    assert "exchange=fedavg" not in said
