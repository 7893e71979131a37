"""Completion offers fields that exist and values that are taken, in every shell's way of splitting words."""

from __future__ import annotations

import sys

import pytest

from agentos.cli.main import main
from agentos.config.completion import completed_overrides
from agentos.config.load import load
from agents.exchange import EXCHANGES


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["topology.ki"], ["topology.kind="]),
        (["training.rou"], ["training.rounds="]),
        (["agents.encoder.pres"], ["agents.encoder.preset="]),
        (["exchange.codec=int"], ["exchange.codec=int8"]),
        (["data.source.kind=j"], ["data.source.kind=jsonl"]),
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
