"""The examples in CONTRIBUTING.md work: each is what it says it is, and passes its contract."""

from __future__ import annotations

import os
import pkgutil
import re
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agentos import RunConfig, Simulation
from agentos.data.partition import Partition
from agentos.data.partition.shares import check_shards
from agentos.data.sources.base import Document, Source
from agentos.evaluation.base import Task
from agentos.rounds.faults.base import Fault
from agentos.runtime.base import Runtime
from agents.exchange.base import Exchange
from agents.models.text_encoder import FunctionEncoder
from agents.objectives.base import Objective
from agents.views import View
from protocols.errors import DataError
from protocols.spec import Kinds, Spec
from protocols.topologies import Topology

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"
BASES: dict[str, type[Spec]] = {
    "AlignUniform": Objective,
    "AnchorRegression": Exchange,
    "Hubs": Topology,
    "Deletion": View,
    "Sqlite": Source,
    "Contiguous": Partition,
    "Anisotropy": Task,
    "Echo": Fault,
    "TimedRuntime": Runtime,
}
TABLES = {
    "AlignUniform": "agents.objectives.OBJECTIVES",
    "AnchorRegression": "agents.exchange.EXCHANGES",
    "Hubs": "protocols.topologies.TOPOLOGIES",
    "Deletion": "agents.views.VIEWS",
    "Anisotropy": "agentos.evaluation.TASKS",
}
"""Tables whose contract needs only the line in the table."""

PLUGIN = """
import importlib, sys
sys.path.insert(0, {folder!r})
import test_contributing
for name, table in test_contributing.TABLES.items():
    module, variable = table.rsplit(".", 1)
    example = test_contributing.example(name)
    kind = example.model_fields["kind"].default
    getattr(importlib.import_module(module), variable)[kind] = example
"""


def example(name: str) -> Any:
    """Run the block that defines a class, as a module of its own, and return the class."""
    module_name = f"contributing_{name.lower()}"
    if module_name not in sys.modules:
        blocks = re.findall(
            r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S
        )
        (code,) = (block for block in blocks if f"\nclass {name}(" in block)
        module = types.ModuleType(module_name)
        sys.modules[module_name] = module  # pydantic and pickle look names up there
        exec(compile(code, f"{GUIDE.name}:{name}", "exec"), module.__dict__)
    return getattr(sys.modules[module_name], name)


def test_every_block_of_python_is_tried() -> None:
    classes = re.findall(r"^class ([A-Z]\w*)(?<!State)\(", GUIDE.read_text(encoding="utf-8"), re.M)
    assert classes == list(BASES)


@pytest.mark.parametrize("name", BASES)
def test_example_is_of_its_kind_and_describes_every_field(name: str) -> None:
    cls = example(name)
    assert issubclass(cls, BASES[name])
    assert cls.__doc__.splitlines()[0].endswith(".")
    assert all(field.description for key, field in cls.model_fields.items() if key != "kind")


@pytest.mark.parametrize("name", BASES)
def test_guide_names_the_kind_for_the_table(name: str) -> None:
    kind = example(name).model_fields["kind"].default
    assert f'Table: `"{kind}": {name}`' in GUIDE.read_text(encoding="utf-8")


PAGES = [
    *(GUIDE.with_name(name) for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((GUIDE.parent / "docs").rglob("*.md")),
    *sorted((GUIDE.parent / "experiments").rglob("*.md")),
]
PACKAGES = "protocols|agents|agentos|experiments"


def inline(page: Path, pattern: str) -> set[str]:
    """Return what matches as a whole, of the code within sentences."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {code for code in re.findall(r"`([^`\n]+)`", prose) if re.fullmatch(pattern, code)}


def is_field(path: str) -> bool:
    """Whether a dotted path is that of a field of a run, whichever kinds it takes."""
    models: set[Any] = {RunConfig}
    for name in path.split("."):
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        if not fields:
            return False
        models = {model for field in fields for model in _models_of(field)}
    return True


def _models_of(field: FieldInfo) -> set[type[BaseModel]]:
    """Return the models that a field may hold: those of its tables, and those of its annotation."""
    found: set[type[BaseModel]] = set()
    todo: list[Any] = [field.annotation, *field.metadata]
    while todo:
        each = todo.pop()
        if isinstance(each, Kinds):
            found.update(each.table.values())
        elif isinstance(each, type) and issubclass(each, BaseModel):
            found.add(each)
        else:
            todo += [*get_args(each)]
    return found


def is_module_or_attribute(path: str) -> bool:
    """Whether a dotted path leads to a module, or to something in one."""
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(GUIDE.parent)))
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    paths = inline(page, rf"(?:{PACKAGES}|tests|docs)/[\w/.-]*")
    assert [path for path in sorted(paths) if not (GUIDE.parent / path).exists()] == []
    dotted = inline(page, rf"(?:{PACKAGES})(?:\.\w+)+") - {"agentos.plugins"}  # entry points
    wrong = [
        name for name in sorted(dotted) if not (is_field(name) or is_module_or_attribute(name))
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(GUIDE.parent)))
def test_fields_that_a_page_names_exist(page: Path) -> None:
    sections = "|".join(set(RunConfig.model_fields) - {"agents"})
    named = inline(page, rf"(?:{sections})(?:\.[a-z_0-9]+)+")
    files = {name for name in named if name.rpartition(".")[2] in ("json", "jsonl", "yaml")}
    assert [name for name in sorted(named - files) if not is_field(name)] == []


def test_layout_shows_every_subpackage() -> None:
    (picture,) = re.findall(
        r"^## Layout\n[^`]+```(\n.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S
    )
    for package in PACKAGES.split("|"):
        part = re.split(r"\n(?=\w)", picture.partition(f"\n{package} ")[2])[0]
        found = (GUIDE.parent / package).rglob("__init__.py")
        folders = {path.parent.relative_to(GUIDE.parent).parts[1:3] for path in found}
        names = {name for folder in folders if package != "experiments" for name in folder}
        assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", part)] == []


def test_guide_names_most_of_the_packages() -> None:
    assert len(inline(GUIDE, rf"(?:{PACKAGES}|tests)/[\w/.]*")) > 15


@pytest.mark.slow
def test_lines_in_the_tables_suffice_for_the_contracts(tmp_path: Path) -> None:
    (tmp_path / "guide.py").write_text(PLUGIN.format(folder=str(Path(__file__).parent)))
    kinds = {name: example(name).model_fields["kind"].default for name in TABLES}
    kinds["Deletion"] = "Deletion"  # views are told apart by their repr
    points = ("objective", "exchange", "topology", "view", "evaluation")
    contracts = [f"tests/contracts/test_{point}_contract.py" for point in points]
    command = [sys.executable, "-m", "pytest", *contracts, "-q", "-rN", "-p", "guide"]
    path = os.pathsep.join([str(tmp_path), str(GUIDE.parent)])
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-k", " or ".join(kinds.values())],
        cwd=GUIDE.parent,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 60


def test_sqlite_source_streams_rows_and_notices_changes(tmp_path: Path) -> None:
    path = tmp_path / "texts.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE documents (text TEXT, topic TEXT)")
        rows = [("First line\nand more.", "a"), ("Second.", None)]
        database.executemany("INSERT INTO documents VALUES (?, ?)", rows)
    source = example("Sqlite")(path=str(path), label="topic")
    expected = [Document("1", "First line\nand more.", "a"), Document("2", "Second.", None)]
    assert list(source.documents()) == list(source.records()) == expected
    before = source.fingerprint()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE more (text TEXT)")
    assert source.fingerprint() != before
    with pytest.raises(DataError, match="no such column"):
        list(source.model_copy(update={"text": "nothing"}).documents())


@pytest.mark.parametrize(("documents", "agents"), [(1, 1), (7, 3), (40, 40)])
def test_contiguous_partition_gives_each_document_once(documents: int, agents: int) -> None:
    rng = np.random.default_rng(0)
    shares = example("Contiguous")().assign(None, lambda rows: [], documents, agents, rng)
    check_shards(shares, documents, agents)
    assert np.concatenate(shares).tolist() == list(range(documents))


def test_anisotropy_is_the_mean_cosine_of_distinct_pairs() -> None:
    rows = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    slow = np.mean([unit[i] @ unit[j] for i in range(6) for j in range(6) if i != j])
    heldout = type("Texts", (), {"texts": tuple("abcdef")})()
    found = example("Anisotropy")().evaluate(
        FunctionEncoder(lambda texts: rows[["abcdef".index(text) for text in texts]]),
        heldout,
        seed=0,
    )
    assert found["anisotropy"] == pytest.approx(slow, abs=1e-6)


@pytest.mark.slow
def test_all_examples_run_together_and_time_changes_no_number(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    parts = {
        "objectives": (example("AlignUniform")(views=(example("Deletion")(),)),),
        "exchange": example("AnchorRegression")(),
        "topology": example("Hubs")(),
        "evaluation": {"every": 2, "tasks": (example("Anisotropy")(),), "documents": 40},
    }
    local = Simulation(small(**parts), out=tmp_path / "local", cache=cache).run()
    config = small(**parts, runtime=example("TimedRuntime")())
    timed = Simulation(config, out=tmp_path / "timed", cache=cache).run()
    assert -1 <= local.mean["anisotropy"] <= 1
    assert local.mean == timed.mean
    assert local.isolated.mean == timed.isolated.mean
    assert local.mean != local.isolated.mean
