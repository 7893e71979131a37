"""The command line: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig
from agentos.cli.display.kinds import help_text
from agentos.cli.main import app, main, report_thread
from agentos.config.load import ready_made
from agentos.data.partition import PARTITIONS
from agentos.data.sources import SOURCES
from agentos.evaluation import TASKS
from agentos.rounds.faults import FAULTS
from agentos.runtime import RUNTIMES
from agentos.tasks.config import json_schema
from agentos.tasks.decomposition import DECOMPOSITIONS
from agentos.tasks.kinds import TASK_KINDS
from agentos.tasks.kinds.collections import COLLECTIONS
from agentos.tasks.scheduling import SCHEDULERS
from agentos.tasks.selection import SELECTIONS
from agents import answering
from agents.answering import ADAPTATIONS, DEFERRALS
from agents.config import PRESETS
from agents.exchange import EXCHANGES
from agents.exchange.anchors.label_fusion import FUSIONS
from agents.exchange.trust import TRUST
from agents.objectives import OBJECTIVES
from agents.views import VIEWS
from protocols.codecs import CODECS
from protocols.topologies import TOPOLOGIES

HEAVY = ("torch", "transformers", "ray", "sklearn", "datasets", "pandas", "matplotlib", "scipy")
COMMANDS = (
    "run",
    "validate",
    "show",
    "list",
    "schema",
    "topology",
    "report",
    "compare",
    "data",
    "generate",
    "sweep",
    "learn",
)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def refused(self, code: int) -> str:
        """Check that it ended with an error that was told, and return what was said."""
        assert self.code == code, self
        assert "Traceback" not in self.out + self.err
        return " ".join(self.err.split())


@pytest.fixture
def agentos(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, cache: Path
) -> Callable[..., Ended]:
    """Call the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["agentos", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return Ended(int(caught.value.code or 0), said.out, said.err)

    return call


def in_a_process(*arguments: str, cwd: Path) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "agentos.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return Ended(done.returncode, done.stdout, done.stderr)


# As a user starts it


def test_help_names_every_command(tmp_path: Path) -> None:
    ended = in_a_process("--help", cwd=tmp_path)
    assert ended.code == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out


def test_misspelt_key_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("training: {local_stpes: 5}", encoding="utf-8")
    ended = in_a_process("validate", "run.yaml", cwd=tmp_path)
    assert ended.out == ""
    said = ended.refused(2)
    assert "training.local_stpes: unknown key" in said
    assert "allowed: accumulate, activation_checkpointing, batch_size" in said
    assert "did you mean: local_steps" in said


def test_commands_that_only_read_a_configuration_import_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys
from agentos.cli.main import main
for arguments in (["validate", "quickstart"], ["show", "quickstart"], ["schema"], ["list"], ["--help"]):
    sys.argv = ["agentos", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, arguments
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, (arguments, loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_error_of_a_background_thread_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write() -> None:
        raise FileNotFoundError("the folder is gone")

    monkeypatch.setattr(threading, "excepthook", report_thread)
    thread = threading.Thread(target=write, name="writer")
    thread.start()
    thread.join()
    assert caplog.messages == ["the thread writer ended: the folder is gone"]


# Configurations


def test_validate_says_what_would_run(agentos: Callable[..., Ended], config_file: Path) -> None:
    ended = agentos("validate", config_file, "topology.kind=grid", "training.rounds=7")
    assert ended.code == 0
    assert "valid small: 4 agents, grid, anchor_contrast, 7 rounds x 2 steps" in ended.out


@pytest.mark.parametrize("name", ready_made())
def test_show_prints_a_configuration_that_is_the_same_run(
    agentos: Callable[..., Ended], tmp_path: Path, name: str
) -> None:
    shown = agentos("show", name)
    assert shown.code == 0
    original = yaml.safe_load(ready_made()[name].read_text(encoding="utf-8"))
    assert RunConfig.model_validate(yaml.safe_load(shown.out)) == RunConfig.model_validate(original)
    (tmp_path / "shown.yaml").write_text(shown.out, encoding="utf-8")
    assert agentos("show", "shown.yaml").out == shown.out


def test_show_does_not_break_long_lines(agentos: Callable[..., Ended], config_file: Path) -> None:
    path = "/".join(["folder"] * 60)
    shown = agentos("show", config_file, f"data.source.path={path}")
    assert yaml.safe_load(shown.out)["data"]["source"]["path"] == path


def test_schema_is_json(agentos: Callable[..., Ended]) -> None:
    ended = agentos("schema")
    assert json.loads(ended.out) == json.loads(json.dumps(RunConfig.model_json_schema()))
    of_task = json.loads(agentos("schema", "task").out)
    assert of_task == json.loads(json.dumps(json_schema()))


TABLES: tuple[Mapping[str, Any], ...] = (
    SOURCES,
    PARTITIONS,
    TOPOLOGIES,
    OBJECTIVES,
    VIEWS,
    EXCHANGES,
    TASKS,
    RUNTIMES,
)


def test_list_shows_every_kind_with_a_line_of_help(agentos: Callable[..., Ended]) -> None:
    ended = agentos("list")
    lines = {
        line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line[:2] == "  "
    }
    for table in (*TABLES, PRESETS, ready_made()):
        for kind in table:
            assert len(lines[kind]) > 2, f"no help for {kind}"
    for title in ("data.source", "objectives.views", "evaluation.tasks", "ready-made runs"):
        assert title in ended.out


CITATION = re.compile(
    r"\[[A-ZÀ-Ž][\w'’-]+(?: [A-Z][\w'’-]+)*(?: et al\.| and [A-Z][\w'’-]+)? (?:19|20)\d\d\]$"
)


OF_TASKS: Mapping[str, Mapping[str, Any]] = {
    "task": TASK_KINDS,
    "collection": COLLECTIONS,
    "decompose": DECOMPOSITIONS,
    "select": SELECTIONS,
    "adapt": ADAPTATIONS,
    "schedule": SCHEDULERS,
    "defer": DEFERRALS,
    "fuse": answering.FUSIONS,
}


@pytest.mark.parametrize("field", OF_TASKS)
def test_list_shows_the_kinds_of_task_files(agentos: Callable[..., Ended], field: str) -> None:
    title, *lines = agentos("list", field).out.splitlines()
    assert title == f"task file.{field}"
    shown = {line.split()[0] for line in lines if line[:2] == "  " and line[2] != " "}
    assert shown == set(OF_TASKS[field])


def test_list_says_what_the_messages_of_every_exchange_show(agentos: Callable[..., Ended]) -> None:
    found = json.loads(agentos("list", "exchange", "--json").out)["exchange"]
    shown = {kind: about["shows"] for kind, about in found.items() if kind != "hybrid"}
    assert shown["isolated"] == []
    assert shown["fedavg"] == ["parameters"]
    assert shown["cross_negatives"] == ["private text"]
    assert "(shows anchors)" in agentos("list", "exchange").out


@pytest.mark.parametrize("table", [*TABLES, CODECS, FUSIONS, TRUST, FAULTS, *OF_TASKS.values()])
def test_list_cites_the_paper_of_every_kind_as_authors_and_year(table: Mapping[str, Any]) -> None:
    for kind, cls in table.items():
        line = help_text(cls)
        assert line.endswith(".") or CITATION.search(line), f"{kind}: {line}"
        named = re.search(r"Sources?: ", cls.__doc__ or "")
        assert not named or re.search(r"\b(?:19|20)\d\d\b", line), f"{kind} hides its paper"


@pytest.mark.parametrize(
    "name", ["topology", "codec", "exchange.codec", "latency_s", "runs", "preset"]
)
def test_list_of_a_point_shows_its_kinds_only(agentos: Callable[..., Ended], name: str) -> None:
    titles = [line for line in agentos("list", name).out.splitlines() if line[:1] != " "]
    assert len(titles) == 1
    assert name in titles[0]


def test_topology_is_told_as_json(agentos: Callable[..., Ended]) -> None:
    figures = json.loads(agentos("topology", "ring", "--agents", "6", "--json").out)
    assert (figures["edges"], figures["diameter"], figures["largest degree"]) == (6, 3, 2)
    assert figures["spectral gap"] == pytest.approx(1 / 3)


def test_list_of_a_point_shows_parameters(agentos: Callable[..., Ended]) -> None:
    assert "parameters: k, p" in agentos("list", "topology").out
    assert "parameters: k, p" not in agentos("list").out


def test_help_shows_every_summary_whole_at_80_columns(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentos.cli", "--help"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    summaries = done.stdout.partition("Commands:")[2].strip().splitlines()
    assert len(summaries) == len(app.registered_commands) + len(app.registered_groups)
    for summary in summaries:
        assert len(summary) <= 80
        assert summary.endswith("."), summary
        assert not summary.endswith("..."), summary


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["validate", "nope.yaml"], "there is no configuration 'nope.yaml'"),
        (["validate", "quikstart"], "did you mean 'quickstart'?"),
        (["show", "."], "given: a folder"),
        (["run", "quickstart", "rounds"], "'rounds' is not an override"),
        (
            ["run", "quickstart", "training.rounds=0"],
            "training.rounds: input should be greater than",
        ),
        (["run", "quickstart", "topology=grud"], "did you mean: grid"),
        (["topology", "grud"], "did you mean: grid"),
        (["list", "tolopogy"], "did you mean 'topology'?"),
        (["topology", "ring", "hops=0"], "topology.hops: input should be greater than"),
        (["topology", "ring", "--agents", "0"], "ring needs agents expected: at least 1 given: 0"),
        (["topology", "random_regular", "k=9"], "k below the number of agents"),
        (["topology", "ring", "--out", "ring.xyz"], "a file name that ends in .png, .svg, .pdf"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run"], "Missing argument 'FILE_OR_NAME'"),
    ],
)
def test_wrong_call_ends_with_code_2(
    agentos: Callable[..., Ended], tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert said in agentos(*arguments).refused(2)
    assert list(tmp_path.iterdir()) == []


# Topologies


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_topology_prints_figures_and_writes_a_picture(
    agentos: Callable[..., Ended], tmp_path: Path, suffix: str
) -> None:
    picture = tmp_path / "pictures" / f"tree.{suffix}"
    ended = agentos("topology", "layered", "--agents", 15, "branching=2", "--out", picture)
    figures = {words[0]: words[-1] for words in map(str.split, ended.out.splitlines())}
    assert ended.code == 0
    assert (figures["kind"], figures["agents"], figures["edges"]) == ("layered", "15", "14")
    assert figures["diameter"] == "6"
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert picture.read_bytes().startswith(start)


def test_topology_names_the_picture_after_its_kind(
    agentos: Callable[..., Ended], tmp_path: Path
) -> None:
    assert agentos("topology", "ring").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["topology-ring.png"]


# Runs


def test_run_ends_with_tables_costs_and_paths(
    agentos: Callable[..., Ended], config_file: Path, tmp_path: Path
) -> None:
    ended = agentos("run", config_file, "training.rounds=1", "--out", "runs/one")
    assert ended.code == 0, ended.err
    for said in (
        *("small: 4 agents, ring, anchor_contrast, seed 0", "MRR (higher is better)"),
        *("together: round 1/1", "isolated: round 1/1", "bytes sent", "tokens trained"),
        *("before", "alone", "together", "mean", "worst", "steps per agent 2"),
        *("records: runs/one", "report:  runs/one/report.html"),
    ):
        assert said in ended.out
    assert (tmp_path / "runs" / "one" / "report.html").is_file()


def test_run_makes_a_new_folder_under_runs(
    agentos: Callable[..., Ended], config_file: Path, tmp_path: Path
) -> None:
    arguments = ("training.rounds=1", "training.local_steps=1", "baseline.isolated=false")
    ended = [agentos("run", config_file, *arguments, "--json") for _ in range(2)]
    assert all(each.code == 0 and "records: " in each.err for each in ended)
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    said = [json.loads(each.out) for each in ended]
    assert {each["run"] for each in said} == {f"runs/{folder.name}" for folder in folders}
    for each in said:
        summary = json.loads((tmp_path / each.pop("run") / "summary.json").read_text())
        assert each == summary
    assert all(folder.name.startswith("small-") for folder in folders)


BAD: Mapping[str, tuple[list[str], int, list[str]]] = {
    "label column that does not exist": (
        ["data.source.label=lable"],
        1,
        [
            "corpus.jsonl, line 1 has no column 'lable'",
            "given: text, label",
            "did you mean 'label'?",
        ],
    ),
    "text column that does not exist": (
        ["data.source.text=words"],
        1,
        ["has no column 'words'", "given: text, label", "name one of its columns"],
    ),
    "data file that is missing": (
        ["data.source.path=nope.jsonl"],
        1,
        ["there is no file or folder", "nope.jsonl", "check data.source.path"],
    ),
    "empty folder of text": (
        ["data.source={kind: text, path: empty}"],
        1,
        ["no file to read in", "files that match **/*.txt", "given: none", "check data.source"],
    ),
    "corrupt parquet": (
        ["data.source={kind: parquet, path: corrupt.parquet}"],
        1,
        [
            "corrupt.parquet, after row 0: not a readable Parquet file",
            "given:",
            "write the file again",
        ],
    ),
    "a file that is not text": (
        ["data.source={kind: text, path: corrupt.parquet}"],
        1,
        ["corrupt.parquet", "not UTF-8", "expected: utf-8", "data.on_bad_record: skip"],
    ),
    "encoder folder without a model": (
        ["agents.encoder={path: empty}"],
        1,
        ["no encoder can be loaded from 'empty'", "config.json", "use encoder.preset"],
    ),
    "encoder folder that is missing": (
        ["agents.encoder={path: nowhere}"],
        1,
        ["encoder.path is not a folder", "given: nowhere", "hint: give the folder's path"],
    ),
    "encoder without a tokenizer": (
        ["agents.encoder={path: bare}"],
        1,
        ["the tokenizer of 'bare' does not know the text", "unknown tokens", "next to it"],
    ),
    "too little text": (
        ["data.limit=30"],
        2,
        ["there are too few documents", "32 anchors", "lower data.anchors"],
    ),
    "probe without labels": (
        ["data.source.label=null", "data.partition=iid"],
        2,
        ["'probe' needs labels", "name the label column in data.source"],
    ),
    "texts longer than the encoder reads": (
        ["training.max_length=1000"],
        1,
        ["training.max_length is longer than the encoder 'nano' can read", "at most 512 tokens"],
    ),
    "a cluster for the local runtime": (
        ["--address", "auto"],
        2,
        ["the local runtime cannot join a cluster", "given: auto", "runtime.kind=ray"],
    ),
    "a package that is not installed": (
        ["data.source={kind: docstrings, packages: [nopackage]}"],
        1,
        ["package 'nopackage' is not installed", "data.source.packages"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_run_that_cannot_begin_says_why_and_leaves_nothing(
    agentos: Callable[..., Ended], config_file: Path, tmp_path: Path, case: str
) -> None:
    arguments, code, parts = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1 \xff nothing PAR1")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    said = agentos("run", config_file, *arguments, "--out", "out").refused(code)
    for part in parts:
        assert part in said
    assert not (tmp_path / "out").exists()


def test_run_refuses_a_folder_that_is_not_empty(
    agentos: Callable[..., Ended], config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work", encoding="utf-8")
    said = agentos("run", config_file, "--out", "out").refused(1)
    assert "The run folder out is not empty" in said
    assert "given: thesis.tex hint: choose another folder with --out" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("out", ["small.yaml", "small.yaml/run"])
def test_run_refuses_a_file_for_a_folder(
    agentos: Callable[..., Ended], config_file: Path, out: str
) -> None:
    said = agentos("run", config_file, "--out", out).refused(1)
    assert f"Output cannot be written to {out}" in said
    assert "choose another folder with --out" in said


def test_pictures_that_cannot_be_written_are_refused(
    agentos: Callable[..., Ended], config_file: Path
) -> None:
    said = agentos("topology", "ring", "--out", "small.yaml/ring.png").refused(1)
    assert "cannot be written to small.yaml/ring.png" in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here refuses even root")
def test_run_refuses_a_folder_that_nobody_may_write_to(
    agentos: Callable[..., Ended], config_file: Path
) -> None:
    said = agentos("run", config_file, "--out", "/proc/run").refused(1)
    assert "Output cannot be written to /proc/run" in said


def test_run_refuses_an_address_where_nobody_listens(
    agentos: Callable[..., Ended],
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # other tests may have started it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    said = agentos("run", config_file, "runtime=ray", "--address", address, "--out", "o").refused(1)
    assert "Ray could not be reached" in said
    assert address in said
    assert "ray start --head" in said
    assert not (tmp_path / "o").exists()


# Records


def test_report_builds_the_page_again(
    agentos: Callable[..., Ended], finished: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished.directory, tmp_path / "[bold]copy[/x]")
    (copy / "report.html").unlink()
    assert json.loads(agentos("report", copy, "--json").out) == {
        "report": str(copy / "report.html")
    }
    ended = agentos("report", copy)
    assert (ended.code, ended.out.strip()) == (0, f"report: {copy / 'report.html'}")
    assert "<html" in (copy / "report.html").read_text(encoding="utf-8")


def test_compare_prints_a_table_and_writes_a_page(
    agentos: Callable[..., Ended], finished: Any, tmp_path: Path
) -> None:
    changed = changed_copy(finished.directory, tmp_path / "changed", hops=2, seed=1)
    ended = agentos("compare", finished.directory, changed, "--out", "both.html")
    assert ended.code == 0
    for name in ("small (run)", "small (changed)"):
        assert ended.out.count(name) == 1
    assert "topology.kind" not in ended.out  # alike in both
    for row in (
        "topology.hops",
        "MRR ↑ mean",
        "Probe accuracy ↑ worst",
        "bytes",
        "tokens",
    ):
        assert row in ended.out
    assert "<html" in (tmp_path / "both.html").read_text(encoding="utf-8")


def changed_copy(run: Path, copy: Path, hops: int, seed: int) -> Path:
    """Copy a run folder; its configuration says that it was another run."""
    shutil.copytree(run, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["topology"]["hops"], config["seed"] = hops, seed
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    return copy


def test_compare_groups_runs_by_what_differs_except_the_seed(
    agentos: Callable[..., Ended], finished: Any, tmp_path: Path
) -> None:
    runs = [
        changed_copy(finished.directory, tmp_path / f"run-{hops}-{seed}", hops, seed)
        for hops in (1, 2)
        for seed in range(3)
    ]
    ended = agentos("compare", *runs)
    assert ended.code == 0
    assert "6 runs, 2 settings" in ended.out
    assert "topology.hops" in ended.out
    assert len(ended.out.splitlines()) < 10
    mean = finished.result.mean["probe_accuracy"]
    said = json.loads(agentos("compare", *runs, "--json", "--metric", "probe_accuracy").out)
    assert said["fields"] == ["topology.hops"]
    assert [group["settings"] for group in said["groups"]] == [
        {"topology.hops": "1"},
        {"topology.hops": "2"},
    ]
    for group in said["groups"]:
        assert len(group["runs"]) == 3
        found = group["metrics"]["probe_accuracy"]
        assert (found["mean"], found["half_width"]) == (pytest.approx(mean), pytest.approx(0))
    assert len(said["each"]) == 6
    refused = agentos("compare", *runs, "--metric", "nothing").refused(2)
    assert "no run measured the metric 'nothing'" in refused
    assert "probe_accuracy" in refused


@pytest.mark.parametrize("arguments", [["report", "nope"], ["compare", "nope"], ["report", "."]])
def test_folder_that_is_no_run_is_refused(
    agentos: Callable[..., Ended], tmp_path: Path, arguments: list[str]
) -> None:
    said = agentos(*arguments).refused(1)
    assert f"{arguments[1]} is not a run folder" in said
    assert "expected: a folder that holds config.yaml" in said
    assert list(tmp_path.iterdir()) == []


# As other programs read it


def test_version_is_that_of_the_distribution(agentos: Callable[..., Ended]) -> None:
    ended = agentos("--version")
    assert (ended.code, ended.out) == (0, f"agentos {metadata.version('llm-agentos')}\n")


def test_validate_prints_problems_as_data(agentos: Callable[..., Ended], config_file: Path) -> None:
    ended = agentos("validate", config_file, "--json")
    assert (ended.code, json.loads(ended.out)["valid"]) == (0, True)
    ended = agentos("validate", config_file, "topology.kind=rign", "training.rounds=0", "--json")
    assert ended.code == 2
    said = json.loads(ended.out)
    assert said["valid"] is False
    paths = {problem["path"]: problem["closest"] for problem in said["problems"]}
    assert paths == {"topology.kind": "ring", "training.rounds": None}


def test_check_prints_bytes_as_data(agentos: Callable[..., Ended], config_file: Path) -> None:
    said = json.loads(agentos("check", config_file, "--json").out)
    # After the second and last round nothing would be learnt from an exchange.
    assert (said["sound"], said["problems"], said["exchanges"]) == (True, [], 1)
    assert said["bytes"] == sum(said["bytes_by_kind"].values()) > 0
    sent = [agent["sent"] for agent in said["bytes_by_agent"].values()]
    assert (len(sent), sum(sent)) == (4, said["bytes"])


def test_list_prints_kinds_as_data(agentos: Callable[..., Ended]) -> None:
    said = json.loads(agentos("list", "topology", "--json").out)
    assert said["topology"].keys() == TOPOLOGIES.keys()
    assert "hops" in said["topology"]["ring"]["parameters"]
    assert "quickstart" in json.loads(agentos("list", "--json").out)["ready-made runs"]
