"""Files of measured numbers, and what is wrong in them."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from agentos.rounds.clock.distributions import Trace
from agentos.rounds.clock.trace import read_trace
from protocols.errors import DataError

AGENTS = [(0,), (1,)]
EDGES = [(0, 1), (1, 0), (1, 2), (2, 1)]


@pytest.fixture
def write(tmp_path):
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return to


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("speeds.csv", "agent,speed,device\nagent-1, 2.5, phone\n0,1e3,server\n"),
        ("speeds.json", '[{"agent": 0, "speed": 1e3},\n {"agent": "agent-1", "speed": 2.5}]'),
        ("speeds.yaml", "- agent: 0\n  speed: 1e3\n- {agent: 1, speed: 2.5}\n"),
    ],
)
def test_speeds_of_agents_from_every_kind_of_file(write, name, text) -> None:
    trace = Trace(path=write(name, text))
    assert trace.values(AGENTS, 0, "speed") == {(0,): 1000.0, (1,): 2.5}


def test_row_of_one_direction_stands_for_the_other_unless_that_has_its_own(write) -> None:
    path = write("links.csv", "sender,receiver,ms\n0,1,5\n1,2,7\n2,1,0\n")
    found = Trace(path=path, column="ms").values(EDGES, 0, "latency_s")
    assert found == {(0, 1): 5.0, (1, 0): 5.0, (1, 2): 7.0, (2, 1): 0.0}


@pytest.mark.parametrize(
    ("name", "text", "line", "told"),
    [
        ("a.csv", "agent,speed\n0,1\n1,fast\n", 3, "a number above 0 under speed"),
        ("a.csv", "agent,speed\n0,1\n1,-2\n", 3, "a number above 0"),
        ("a.csv", "agent,speed\n0,1\n1,nan\n", 3, "a number above 0"),
        ("a.csv", "agent,speed\n0,1\n1,0\n", 3, "a number above 0"),
        ("a.csv", "agent,speed\n0,1\n1\n", 3, "expected: 2 columns"),
        ("a.csv", "agent,speed,speed\n0,1,9\n1,2,9\n", 1, "there twice"),
        ("a.csv", "agent,speed\n0,1\n1,1_000\n", 3, "a number above 0"),
        ("a.csv", "agent,speed\n0,1\n1,\u0661\n", 3, "a number above 0"),
        (
            "a.yaml",
            "- {agent: 0, speed: 1}\n- {agent: 1, speed: 2, speed: 3}\n",
            2,
            "each name once",
        ),
        ("a.json", "[" * 5000, 1, "more than 64 deep"),
        ("a.csv", "agent,speed\n0,1\n1,2,3\n", 3, "expected: 2 columns"),
        ("a.csv", "agent,speed\n0,1\n7,2\n", 3, "below 2"),
        ("a.csv", "agent,speed\n0,1\n0,2\n", 3, "each key once"),
        ("a.csv", "agent,speed\n0,1\nyou,2\n", 3, "the number of an agent under agent"),
        ("a.csv", "name,speed\n0,1\n", 2, "the number of an agent under agent"),
        ("a.yaml", "- {agent: 0, speed: 1}\n- {agent: 1, speed: x}\n", 2, "a number above 0"),
        ("a.json", '[{"agent": 0,\n"speed": 1},\n{"agent": 1, "speed": [2]}]', 3, "a mapping"),
        ("a.yaml", "- {agent: 0, speed: 1}\n- [\n", 3, "JSON or YAML"),
        ("a.yaml", "agent: 0\n", 1, "a list of rows"),
        ("a.yaml", "", 1, "a list of rows"),
    ],
)
def test_bad_row_is_named_with_file_and_line(write, name, text, line, told) -> None:
    path = write(name, text)
    with pytest.raises(DataError, match=told) as caught:
        read_trace(path, AGENTS, "speed")
    assert caught.value.message.startswith(f"{path}, line {line}:")


def test_edge_that_is_none_is_named(write) -> None:
    path = write("links.csv", "sender,receiver,latency_s\n0,1,1\n0,2,1\n")
    with pytest.raises(DataError, match=r"an edge of the topology.*0 to 2"):
        read_trace(path, EDGES, "latency_s", above_zero=False)


def test_missing_agent_is_named(write) -> None:
    with pytest.raises(DataError, match="none for 1"):
        read_trace(write("a.csv", "agent,speed\n0,1\n"), AGENTS, "speed")


def test_file_that_cannot_be_read_is_named(write, tmp_path) -> None:
    with pytest.raises(DataError, match="of no known kind"):
        read_trace(write("a.txt", ""), AGENTS, "speed")
    with pytest.raises(DataError, match="cannot be read"):
        read_trace(tmp_path / "nothing.csv", AGENTS, "speed")
    (tmp_path / "wide.json").write_text("[]", encoding="utf-16")
    with pytest.raises(DataError, match="cannot be read"):
        read_trace(tmp_path / "wide.json", AGENTS, "speed")


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_compressed_file_cut_short_or_damaged_is_refused(tmp_path, ending, compress) -> None:
    whole = compress(b'[{"agent": 0, "speed": 1}, {"agent": 1, "speed": 2}]' * 40)
    path = tmp_path / f"a.json.{ending}"
    for content in (whole[:-12], whole[:30] + b"\xff" * 20 + whole[50:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_trace(path, AGENTS, "speed")
