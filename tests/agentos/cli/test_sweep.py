"""``agentos sweep``: what it prints, how it ends, and real runs in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig, Simulation
from agentos.cli.main import main
from agentos.cli.sweep import configuration
from agentos.sweep.rows import RESULTS, read_table

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def agentos(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, cache: Path
) -> Call:
    """Call the command line in this process, in an empty folder; return its exit code and words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["agentos", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), " ".join((said.out + said.err).split())

    return call


@pytest.fixture
def sweep_file(small_values: dict[str, Any], tmp_path: Path) -> Path:
    """Two arms, of which the second needs more anchors than there are, and one seed."""
    values = {
        "base": small_values,
        "seeds": 1,
        "arms": {
            "alone": {"exchange.kind": "isolated", "exchange.anchor_share": 0.25},
            "crowded": {"exchange.kind": "isolated", "data.anchors": 10_000},
        },
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_dry_run_lists_runs_and_costs_and_leaves_nothing(agentos: Call, sweep_file: Path) -> None:
    code, said = agentos("sweep", sweep_file, "--dry-run", "--seeds", 2, "training.rounds=3")
    assert code == 0
    # 4 agents x 3 rounds x 2 steps x 12 documents x 2 views x 16 tokens
    assert said.count("9,216") == 4
    assert "4 of 4 runs to do: at most 36,864 tokens, about 0 B" in said
    assert not (sweep_file.parent / "runs").exists()


def test_mistake_in_an_arm_ends_with_code_2(agentos: Call, sweep_file: Path) -> None:
    values = yaml.safe_load(sweep_file.read_text())
    values["arms"]["alone"]["exchange.anchor_shares"] = 0.5
    sweep_file.write_text(yaml.safe_dump(values))
    code, said = agentos("sweep", sweep_file)
    assert code == 2
    assert "exchange.anchor_shares: unknown key" in said
    assert "did you mean: anchor_share" in said


def test_launcher_of_the_command_line_wins_and_an_address_needs_one(
    agentos: Call, sweep_file: Path
) -> None:
    values = yaml.safe_load(sweep_file.read_text())
    sweep_file.write_text(yaml.safe_dump({**values, "launcher": {"kind": "ray", "gpus": 0.5}}))
    assert configuration(sweep_file, [], None).launcher.gpus == 0.5
    assert configuration(sweep_file, [], None, "ray").launcher.gpus == 0.5
    assert configuration(sweep_file, [], None, "processes").launcher.gpus == 0.0
    code, said = agentos("sweep", sweep_file, "--launcher", "processes", "--address", "auto")
    assert (code, "add --launcher ray, or leave out --address" in said) == (2, True)


@pytest.mark.slow
def test_sweep_runs_records_and_goes_on(
    agentos: Call, sweep_file: Path, cache: Path, small_values: dict[str, Any], tmp_path: Path
) -> None:
    code, said = agentos("sweep", sweep_file, "--jobs", 2, "--out", "out")
    assert code == 1
    assert "failed crowded seed 0: there are too few documents" in said
    assert "Nothing is better than alone beyond chance" in said
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Runs without a result: 1." in page
    alone, crowded = read_table(tmp_path / "out" / RESULTS)
    assert (alone["status"], crowded["status"]) == ("finished", "failed")
    assert "too few documents" in crowded["error"]
    assert not (tmp_path / "out" / alone["folder"] / "encoders").exists()
    # The same numbers as a run of that configuration by itself.
    exchange = {"kind": "isolated", "anchor_share": 0.25}
    config = RunConfig.model_validate({**small_values, "exchange": exchange})
    result = Simulation(config, tmp_path / "by-itself", cache=cache).run()
    assert {name: alone[f"{name}.mean"] for name in result.mean} == result.mean
    code, said = agentos("sweep", sweep_file, "--out", "out", "--dry-run")
    assert (code, "1 of 2 runs to do" in said) == (
        0,
        True,
    )  # the failed one; the other is not repeated


@pytest.mark.slow
def test_a_search_of_two_trials_names_the_best(
    agentos: Call, small_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna = pytest.importorskip("optuna")
    places = (Path(__file__).parents[3], Path(optuna.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, places)))
    search = {"trials": 2, "sampler": "random", "space": {"exchange.weight": [0.5, 2.0]}}
    base = {**small_values, "exchange": "anchor_contrast"}
    Path("rates.yaml").write_text(
        yaml.safe_dump({"base": base, "seeds": 1, "search": search}), "utf-8"
    )
    code, said = agentos("sweep", "rates.yaml", "--dry-run")
    assert (code, "2 trials by random, 1 seeds each, for MRR" in said) == (0, True)
    code, said = agentos("sweep", "rates.yaml", "--out", "rates")
    assert code == 0, said
    assert "2 trials, 0 pruned, 0 failed best: trial-" in said
    assert Path("rates/report.html").is_file()
    rows = read_table(Path("rates") / RESULTS)
    assert {row["status"] for row in rows} == {"finished"}
    before = Path("rates/search.log").read_text("utf-8")
    code, said = agentos("sweep", "rates.yaml", "--out", "rates")
    assert (code, "2 trials" in said) == (0, True)
    assert Path("rates/search.log").read_text("utf-8").startswith(before)
