"""Bounds on YAML: every odd text is one error with its place, at once."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentos.cli.main import app
from agentos.config.load import apply_overrides, load
from agentos.data.yaml_text import MOST_DEPTH, parse_yaml
from agentos.records.reader import load_run
from agentos.sweep.config import load_sweep
from protocols.errors import ConfigurationError, RecordError


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "aliases": aliases(9) + "objectives: *a8\n",
    "mapping_aliases": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i + 1}: &a{i + 1} {{p: *a{i}, q: *a{i}}}\n" for i in range(20)),
    "deep_list": "name: " + "[" * 50_000,
    "deep_mapping": "name: " + "{a: " * 50_000,
    "deep_block": "\n".join(" " * i + "a:" for i in range(500)),
    "huge_integer": "seed: " + "9" * 5000,
    "huge_integer_key": "9" * 5000 + ": 1",
    "huge_sexagesimal": "seed: !!int " + ":".join(["59"] * 4000),
    "cycle": "data: &d {source: *d}",
    "cycle_in_list": "objectives: &d [*d]",
    "date": "seed: 2001-99-99",
    "bool_tag": "seed: !!bool abc",
    "float_tag": "seed: !!float abc",
    "int_tag": "seed: !!int abc",
    "timestamp_tag": "seed: !!timestamp abc",
    "set_tag": "seed: !!set [a]",
    "omap_tag": "seed: !!omap {a: 1}",
    "pairs_tag": "seed: !!pairs [1]",
    "map_tag": "seed: !!map abc",
    "sequence_tag": "seed: !!seq abc",
    "binary_tag": "name: !!binary 'é'",
    "python_tag": "name: !!python/object/apply:os.system ['true']",
    "python_name": "name: !!python/name:os.system",
    "unhashable_key": "? [a, b]\n: 1",
    "merge_of_text": "<<: abc",
    "unknown_alias": "name: *nothing",
    "control": "name: \x01",
    "two_documents": "name: a\n---\nname: b",
    "directive": "%YAML 9.9\n---\nname: a",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_one_error_at_once(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[bomb], encoding="utf-8")
    began = time.perf_counter()
    for read in (load, lambda source: load_sweep(Path(source))):
        with pytest.raises(ConfigurationError) as error:
            read(str(path))
        assert len(str(error.value)) < 2000
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_in_an_override_is_an_error_of_its_field(bomb: str) -> None:
    with pytest.raises(ConfigurationError):
        load("quickstart", [f"seed={BOMBS[bomb]}"])


@pytest.mark.parametrize("key", ["1: 2", "true: 3", "null: 4", "1.5: 2"])
def test_a_key_that_is_no_text_is_an_error_of_its_field(key: str, tmp_path: Path) -> None:
    path = tmp_path / "key.yaml"
    path.write_text(key)
    with pytest.raises(ConfigurationError, match="keys should be strings"):
        load(str(path))


@given(st.text(alphabet="ab01:-[]{}&*!|>%@#'\",\n \t?<~.=", max_size=60))
def test_any_text_is_a_value_or_a_yaml_error(text: str) -> None:
    with suppress(yaml.YAMLError):
        parse_yaml(text)


def test_what_is_within_the_bounds_is_read_as_before() -> None:
    text = "a: &a {x: [1, 0x10, 1e3, yes, null, '1']}\nb: *a\nc: {<<: *a, y: 2001-01-01}\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    nested = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_yaml(nested) == yaml.safe_load(nested)
    assert apply_overrides({}, ["a.b=[1, {c: d}]"]) == {"a": {"b": [1, {"c": "d"}]}}


def test_a_bomb_in_a_record_is_a_damaged_record(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(BOMBS["aliases"])
    (tmp_path / "network.json").write_text("{}")
    with pytest.raises(RecordError):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "training.rounds=1000000000000000000",
        "training.local_steps=1000000000000000000000",
        "seed=1" + "0" * 40,
        "agents.count=1000000000000000000",
    ],
)
def test_numbers_beyond_use_are_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match=override.split("=")[0]):
        load("quickstart", [override])


def test_seeds_beyond_use_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("base: quickstart\nseeds: 1000000000000000000\narms: {a: {}}\n")
    with pytest.raises(ConfigurationError, match="at most 10,000 seeds"):
        load_sweep(path)


def test_a_topology_of_agents_beyond_use_is_refused() -> None:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["topology", "ring", "--agents", "1000000000000000000"])
    assert result.exit_code == 2
