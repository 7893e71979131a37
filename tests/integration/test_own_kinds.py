"""A user's own classes in a module: every command takes them by name, once they are trusted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos.cli.main import main

EXTENSIONS = Path(__file__).parents[2] / "docs/how-to/extend.md"
MODULE = "society_of_mine"
TRUST = ("--trust-plugins", MODULE)

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def agentos(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, cache: Path
) -> Iterator[Call]:
    """Call the command line in the folder of a module of one's own; return its exit code and words."""
    code = re.findall(r"^```python\n(.*?)^```", EXTENSIONS.read_text("utf-8"), re.S | re.M)
    (tmp_path / f"{MODULE}.py").write_text("\n".join(code[:4]), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTHONPATH", str(EXTENSIONS.parents[2]))

    def call(*arguments: object) -> tuple[int, str]:
        sys.modules.pop(MODULE, None)
        monkeypatch.setattr(sys, "argv", ["agentos", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), " ".join((said.out + said.err).split())

    yield call
    sys.modules.pop(MODULE, None)


@pytest.fixture
def run_file(small_values: dict[str, Any], tmp_path: Path) -> Path:
    values = {
        **small_values,
        "topology": f"{MODULE}:Wheel",
        "exchange": {"kind": f"{MODULE}:SharedCentre", "codec": "int8"},
        "baseline": {"isolated": False},
        "evaluation": {"every": 2, "tasks": ["retrieval"], "documents": 40},
        "checkpoints": {"every": 1, "keep": 2},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


@pytest.mark.parametrize("command", ["validate", "check", "show", "run", "data"])
def test_code_is_not_imported_without_trust(agentos: Call, run_file: Path, command: str) -> None:
    code, said = agentos(command, run_file)
    assert code == 2
    assert f"topology: kind {MODULE}:Wheel is code of the package {MODULE}" in said
    assert f"add --trust-plugins {MODULE} if you do" in said
    assert MODULE not in sys.modules


def test_overrides_name_a_class_and_reach_its_fields(agentos: Call) -> None:
    kind = f"exchange={MODULE}:SharedCentre"
    code, said = agentos("show", "quickstart", kind, "exchange.weight=0.25", *TRUST)
    assert code == 0
    assert f"kind: {MODULE}:SharedCentre" in said
    assert "weight: 0.25" in said
    code, said = agentos("validate", "quickstart", kind, "exchange.wieght=0.25", *TRUST)
    assert (code, "exchange.wieght: unknown key" in said) == (2, True)


def test_trust_may_come_from_the_environment(
    agentos: Call, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_TRUST_PLUGINS", f"others {MODULE}")
    code, said = agentos("check", run_file)
    assert code == 0, said
    assert "every message has a receiver" in said


@pytest.mark.slow
def test_a_run_of_own_kinds_is_forked_resumed_and_evaluated(agentos: Call, run_file: Path) -> None:
    code, said = agentos("run", run_file, "--out", "mine", *TRUST)
    assert code == 0, said
    config = yaml.safe_load(Path("mine/config.yaml").read_text())
    assert config["topology"]["kind"] == f"{MODULE}:Wheel"
    fork = ("fork", "mine", "--round", 1, "topology.kind=ring", "--out", "forked")
    for command in (fork, ("resume", "mine"), ("eval", "mine")):
        code, said = agentos(*command)
        assert code == 2, command
        assert f"add --trust-plugins {MODULE}" in said
        assert MODULE not in sys.modules
    Path("mine/summary.json").unlink()  # as if it had been stopped at its end
    before = Path("mine/metrics.jsonl").read_text()
    for command in (fork, ("resume", "mine", "--round", 1), ("eval", "mine", "--agent", 0)):
        code, said = agentos(*command, *TRUST)
        assert code == 0, said
    assert Path("mine/metrics.jsonl").read_text() == before
    code, said = agentos("compare", "mine", "forked")
    assert code == 0, said
    assert MODULE not in sys.modules


@pytest.mark.slow
def test_a_sweep_runs_own_kinds_in_its_processes(
    agentos: Call, small_values: dict[str, Any]
) -> None:
    base = {
        **small_values,
        "baseline": {"isolated": False},
        "evaluation": {"tasks": ["retrieval"], "documents": 40},
    }
    arms = {"own": {"exchange": f"{MODULE}:SharedCentre"}}
    Path("own.yaml").write_text(yaml.safe_dump({"base": base, "seeds": 1, "arms": arms}), "utf-8")
    code, said = agentos("sweep", "own.yaml", "--out", "own")
    assert (code, f"add --trust-plugins {MODULE}" in said) == (2, True)
    code, said = agentos("sweep", "own.yaml", "--out", "own", *TRUST)
    assert code == 0, said


TASK = {
    "name": "mine",
    "library": {"models": ["nowhere"]},
    "task": {
        "kind": "classify",
        "source": {"kind": "jsonl", "path": "nowhere.jsonl", "label": "label"},
    },
    "topology": f"{MODULE}:Wheel",
}
LIFE = yaml.safe_load((EXTENSIONS.parents[2] / "experiments/learning/life.yaml").read_text("utf-8"))
LIFE["set"]["topology"] = f"{MODULE}:Wheel"


@pytest.mark.parametrize(
    ("command", "values"),
    [("solve", TASK), ("analyse", TASK), ("plan", TASK), ("learn", LIFE)],
    ids=["solve", "analyse", "plan", "learn"],
)
def test_tasks_and_lives_take_own_kinds_once_they_are_trusted(
    agentos: Call, command: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("work.yaml").write_text(yaml.safe_dump(values), "utf-8")
    code, said = agentos(command, "work.yaml")
    assert (code, f"add --trust-plugins {MODULE} if you do" in said) == (2, True), said
    assert MODULE not in sys.modules
    if command == "learn":  # which would begin
        from agentos.learning.config import load_life

        monkeypatch.syspath_prepend(Path.cwd())
        assert load_life("work.yaml", (), [MODULE]).run().topology.kind == "wheel"
        return
    code, said = agentos(command, "work.yaml", *TRUST)
    assert MODULE in sys.modules
    assert "nowhere" in said  # its own kind was read, and then its text or its models were missing
    assert "--trust-plugins" not in said


@pytest.mark.slow
@pytest.mark.own_ray
@pytest.mark.timeout(900)
def test_own_kinds_run_on_ray_as_they_do_here(run_file: Path, agentos: Call) -> None:
    code, said = agentos("run", run_file, "--out", "here", *TRUST)
    assert code == 0, said
    ray = ("runtime.kind=ray", "runtime.hosts=1")  # a process other than the one that read the file
    command = ("run", run_file, *ray, "--out", "there", *TRUST)
    done = subprocess.run(
        [sys.executable, "-m", "agentos.cli", *map(str, command)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    here, there = (Path(name, "metrics.jsonl").read_text() for name in ("here", "there"))
    assert here == there
    assert sum(json.loads(line).get("bytes_sent", 0) for line in here.splitlines()) > 0
