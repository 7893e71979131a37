"""Everything that the README shows is run here, or checked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig, Simulation
from agentos.runtime.base import Runtime

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
PYTHON = [code for language, code in BLOCKS if language == "python"]
YAML = [code for language, code in BLOCKS if language == "yaml"]


@pytest.mark.slow
def test_script_runs_as_it_stands(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PYTHON[0], "utf-8")
    environment = {**os.environ, "AGENTOS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    directory = tmp_path / done.stdout.split()[-1]
    assert directory.parent == tmp_path / "runs"
    assert (directory / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.ray
def test_own_extensions_run_alike_on_both_runtimes(
    small: Callable[..., RunConfig],
    warm: Callable[[str], Runtime],
    cache: Path,
    tmp_path: Path,
) -> None:
    # As in a script: what is defined in __main__ travels to the hosts by value.
    defined: dict[str, Any] = {"__name__": "__main__"}
    for code in PYTHON[1:]:
        exec(compile(code, "README.md", "exec", dont_inherit=True), defined)
    data = small().data.model_copy(
        update={"source": defined["Proverbs"](), "partition": _iid(), "anchors": 32}
    )
    config = small(
        data=data,
        topology=defined["Wheel"](),
        objectives=(defined["Agreement"](),),
        exchange=defined["SharedCentre"](),
        evaluation={"tasks": ["retrieval"], "documents": 40},
        baseline={"isolated": False},
    )
    seen = []
    for runtime in (config.runtime, warm("two")):
        out = tmp_path / runtime.kind
        Simulation(config.model_copy(update={"runtime": runtime}), out=out, cache=cache).run()
        seen.append(_metrics(out))
    assert seen[0] == seen[1]
    assert any("exchange_loss" in row for row in seen[0])
    assert sum(row.get("bytes_sent", 0) for row in seen[0]) > 0
    assert sum(row.get("rejected", 0) for row in seen[0]) == 0


def _iid() -> Any:
    from agentos.data.partition import Iid

    return Iid()


def _metrics(directory: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


@pytest.mark.parametrize("code", YAML)
def test_configuration_is_valid(code: str) -> None:
    RunConfig.model_validate(yaml.safe_load(code))


def test_commands_exist() -> None:
    from typer.main import get_command

    from agentos.cli.main import app

    shown = set(re.findall(r"^\$ agentos (\w+)", README.read_text("utf-8"), re.MULTILINE))
    assert shown == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_kinds_are_those_of_the_tables() -> None:
    from agentos.data.partition import PARTITIONS
    from agentos.data.sources import SOURCES
    from agentos.evaluation import TASKS
    from agentos.runtime import RUNTIMES
    from agents.exchange import EXCHANGES
    from protocols.topologies import TOPOLOGIES

    text = README.read_text("utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE))
    tables: dict[str, Any] = {
        "data.source": SOURCES,
        "data.partition": PARTITIONS,
        "topology": TOPOLOGIES,
        "exchange": EXCHANGES,
        "evaluation.tasks": TASKS,
        "runtime": RUNTIMES,
    }
    for point, table in tables.items():
        named = set(re.findall(r"`(\w+)`", rows[point])) - {"datasets"}
        assert named == set(table), point
