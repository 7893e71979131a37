"""The README and the pages of docs/ keep their promises: blocks run or validate, names and links exist."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from agentos import RunConfig, Simulation
from agentos.cli.main import app
from agentos.config.load import load, load_topology
from agentos.data.partition import PARTITIONS, Iid
from agentos.data.sources import SOURCES
from agentos.evaluation import TASKS
from agentos.learning.config import LifeConfig
from agentos.records.reports import RoundReport
from agentos.rounds.clock.config import MODES
from agentos.rounds.clock.distributions import QUANTITIES
from agentos.rounds.faults import FAULTS
from agentos.runtime import RUNTIMES
from agentos.runtime.base import Runtime
from agentos.sweep.config import SweepConfig
from agentos.tasks.config import CONFIGURATIONS
from agents.config import PRESETS
from agents.exchange import EXCHANGES
from agents.exchange.anchors.label_fusion import FUSIONS
from agents.exchange.parameters.robust_fusion import PARAMETER_FUSIONS
from agents.exchange.trust import TRUST
from agents.objectives import OBJECTIVES
from agents.training.optimizers import OPTIMIZERS
from agents.views import VIEWS
from protocols.codecs import CODECS
from protocols.plugins import TrustedPlugins
from protocols.topologies import TOPOLOGIES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN_TEXT = ROOT / "docs/how-to/own-text.md"
ANALYSIS = ROOT / "docs/how-to/analyse.md"
EXTENSIONS = ROOT / "docs/how-to/extend.md"
FEW_LABELS = ROOT / "docs/how-to/few-labels.md"
COMMANDS = ROOT / "docs/reference/cli.md"
TABLES: dict[str, tuple[str, tuple[Mapping[str, Any], ...]]] = {
    "agents.encoder.preset": ("configuration", (PRESETS,)),
    "runtime": ("configuration", (RUNTIMES,)),
    "data.source": ("data", (SOURCES,)),
    "data.partition": ("data", (PARTITIONS,)),
    "topology": ("topologies", (TOPOLOGIES,)),
    "objectives": ("objectives", (OBJECTIVES,)),
    "objectives.views": ("objectives", (VIEWS,)),
    "training.optimizer": ("objectives", (OPTIMIZERS,)),
    "exchange": ("exchanges", (EXCHANGES,)),
    "exchange.codec": ("exchanges", (CODECS,)),
    "exchange.fusion": ("exchanges", (FUSIONS, PARAMETER_FUSIONS)),
    "exchange.trust": ("exchanges", (TRUST,)),
    "evaluation.tasks": ("evaluation", (TASKS,)),
    "clock.mode": ("faults", (MODES,)),
    "clock.speed": ("faults", (QUANTITIES,)),
    "faults": ("faults", (FAULTS,)),
}
"""The page and the tables of the code that list the kinds of each extension point."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def all_blocks(language: str) -> list[Any]:
    return [
        pytest.param(code, id=f"{named(page)}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, language))
    ]


def console(page: Path, program: str) -> list[list[str]]:
    """Return the words of every command of a program that a page shows, without its comment."""
    lines = re.findall(rf"^\$ {program} (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 200


def test_map_leads_to_files() -> None:
    (lines,) = re.findall(r"^```\n(protocols/.*?)^```", README.read_text("utf-8"), re.M | re.S)
    package = ROOT
    for line in lines.splitlines():
        indent, rooms, text = re.fullmatch(r"( *)((?:[\w]+/ *)+)(.*)", line).groups()  # type: ignore
        parent = package if indent else ROOT
        found = [parent / room for room in rooms.split()]
        package = package if indent else found[0]
        named = re.findall(r"[\w/]+\.py|\w+/(?=[ ,;]|$)", text)
        assert [str(path) for path in found if not path.is_dir()] == []
        assert [name for name in named if not any((room / name).exists() for room in found)] == []


@pytest.mark.slow
def test_script_runs_as_it_stands(tmp_path: Path, cache: Path) -> None:
    (code,) = blocks(README, "python")
    script = tmp_path / "script.py"
    script.write_text(code, "utf-8")
    environment = {**os.environ, "AGENTOS_CACHE": str(cache)}
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
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    # As in a script: what is defined in __main__ travels to the hosts by value.
    defined: dict[str, Any] = {"__name__": "__main__"}
    for code in blocks(EXTENSIONS, "python"):
        exec(compile(code, EXTENSIONS.name, "exec", dont_inherit=True), defined)
    shown = defined["config"]
    data = small().data.model_copy(
        update={"source": shown.data.source, "partition": Iid(), "anchors": 32}
    )
    config = small(
        data=data,
        topology=shown.topology,
        objectives=shown.objectives,
        exchange=shown.exchange,
        evaluation={"tasks": ["retrieval"], "documents": 40},
        baseline={"isolated": False},
    )
    seen = []
    for runtime in (config.runtime, warm):
        out = tmp_path / runtime.kind
        Simulation(config.model_copy(update={"runtime": runtime}), out=out, cache=cache).run()
        seen.append(_metrics(out))
    assert seen[0] == seen[1]
    assert any("exchange_loss" in row for row in seen[0])
    assert sum(row.get("bytes_sent", 0) for row in seen[0]) > 0
    assert sum(row.get("rejected", 0) for row in seen[0]) == 0


def _metrics(directory: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def test_python_is_shown_only_where_it_is_run() -> None:
    shown = {named(page) for page in PAGES if blocks(page, "python")}
    # That of the page about knowledge: tests/agentos/learning/knowledge/test_transfer.py.
    pages = (ANALYSIS, EXTENSIONS, FEW_LABELS, OWN_TEXT, ROOT / "docs/how-to/knowledge.md")
    run = {named(page) for page in pages}
    assert shown == {"README.md", "CONTRIBUTING.md", *run}


def test_tracker_sends_means_over_agents() -> None:
    _, code = blocks(ANALYSIS, "python")
    defined: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, ANALYSIS.name, "exec", dont_inherit=True), defined)
    sent: list[dict[str, float]] = []
    metrics = {0: {"loss": 1.0, "mrr": 0.5}, 1: {"loss": 3.0}}
    report = RoundReport("together", 4, 8, metrics, {}, round_s=0.1, total_bytes=0)
    defined["Tracker"](sent.append).on_round(report)
    assert sent == [{"round": 4, "together/loss": 2.0, "together/mrr": 0.5}]


def test_text_in_memory_is_a_source_as_it_stands() -> None:
    (code,) = blocks(OWN_TEXT, "python")
    defined: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, OWN_TEXT.name, "exec", dont_inherit=True), defined)
    assert len(list(defined["config"].data.source.documents())) == 100


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_analysis_runs_as_it_stands(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    code, _ = blocks(ANALYSIS, "python")
    exec(compile(code, ANALYSIS.name, "exec", dont_inherit=True), {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert {"untrained", "together", "isolated", "complete", "ring"} <= set(shown.split())


def test_controls_of_few_labels_run_as_they_stand() -> None:
    (code,) = blocks(FEW_LABELS, "python")
    exec(compile(code, FEW_LABELS.name, "exec", dont_inherit=True), {"__name__": "__main__"})
    (shown,) = blocks(FEW_LABELS, "yaml")
    for override in re.findall(r"\| `([\w.]+=\w+)` \|", FEW_LABELS.read_text("utf-8")):
        path, value = override.split("=")
        *parents, last = path.split(".")
        values = yaml.safe_load(shown)
        place = values
        for parent in parents:
            place = place[parent]
        place[last] = yaml.safe_load(value)
        RunConfig.model_validate(values)


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module of the extensions that the pages show, by its name in their YAML."""
    name = "my_society"
    (tmp_path / f"{name}.py").write_text("\n".join(blocks(EXTENSIONS, "python")), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("code", all_blocks("yaml"))
def test_configuration_is_valid(code: str, own_module: str) -> None:
    values = yaml.safe_load(code)
    task = CONFIGURATIONS[values["task"]["kind"]] if "library" in values else RunConfig
    kinds = {"arms": SweepConfig, "search": SweepConfig, "stream": LifeConfig, "library": task}
    kind = next((kind for field, kind in kinds.items() if field in values), RunConfig)
    kind.model_validate(values, context=TrustedPlugins.of([own_module]))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_their_options_exist(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, *words in console(page, "agentos"):
        command = commands[name]
        command = getattr(command, "commands", {}).get(words[0], command) if words else command
        known = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= known, name


def test_every_command_is_in_the_reference() -> None:
    shown = [name for name, *_ in console(COMMANDS, "agentos")]
    assert sorted(shown) == sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_overrides_that_are_shown_can_be_applied(page: Path, own_module: str) -> None:
    for name, *words in console(page, "agentos"):
        wrong = "rign" in " ".join(words)  # shown as a mistake
        overrides = [w for w in words if re.match(r"[\w.]+=", w) and not wrong]
        if name == "topology":
            load_topology(words[0], overrides)
        elif name in ("run", "validate", "show", "check", "fork", "resume"):
            load("quickstart", overrides, trusted=[own_module])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_modules_that_are_run_exist(page: Path) -> None:
    found = re.findall(r"python -m ((?:experiments|agentos)[\w.]*\w)", page.read_text("utf-8"))
    for module in found:
        if module.endswith(".NAME"):
            continue
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("point", TABLES)
def test_kinds_are_those_of_the_tables(point: str) -> None:
    page, tables = TABLES[point]
    text = (ROOT / f"docs/reference/{page}.md").read_text("utf-8")
    (section,) = re.findall(rf"^##+ `{point}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    found = [
        set(re.findall(r"^\| `([\w-]+)` \|", part, re.MULTILINE))
        for part in re.split(r"^\| --- .*$", section, flags=re.MULTILINE)[1:]
    ]
    if len(tables) == 1:  # one table of the code may be shown in several parts
        found = [set().union(*found)]
    assert found == [set(table) for table in tables]
