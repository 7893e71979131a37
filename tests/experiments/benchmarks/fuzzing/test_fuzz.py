"""A little of what the fuzzer does at length, and that it would notice a failure."""

from __future__ import annotations

import ast
import importlib
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import experiments.benchmarks.fuzzing.fuzz as fuzzing
from experiments.benchmarks.fuzzing import fuzz_targets
from experiments.benchmarks.fuzzing.fuzz import Outcome, fuzz, kept, table
from experiments.benchmarks.fuzzing.fuzz_targets import TARGETS, Target
from experiments.benchmarks.fuzzing.message_mutations import cut
from experiments.benchmarks.fuzzing.mutations import BLIND, mutate
from protocols.errors import ProtocolError
from protocols.wire.serialize import decode


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("messages", 1500),
        ("checkpoints", 500),
        ("records", 150),
        ("configurations", 40),
        ("files of data", 200),
        ("bombs", 8),
        ("run folders", 12),
        ("links", 12),
    ],
)
def test_mutated_inputs_are_taken_or_refused(name: str, inputs: int) -> None:
    outcome = fuzz(name, seed=5, block=0, inputs=inputs)
    assert outcome.findings == []
    assert outcome.counts.total() == inputs
    assert outcome.counts["taken"] > 0
    assert outcome.grown_mb < (64 if name in fuzz_targets.TARGETS else 512)
    assert 0.0 < outcome.slowest_s < fuzzing.TARGETS[name].most_s


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


@pytest.mark.parametrize(
    ("target", "mutation"),
    [
        pytest.param(name, mutation, id=f"{name}-{mutation.__name__}")
        for name in ("messages", "checkpoints")
        for mutation in dict.fromkeys(TARGETS[name].mutations)
    ],
)
def test_every_mutation_changes_and_survives_anything(target: str, mutation: Any) -> None:
    with TARGETS[target].open() as (samples, _):
        buffers = [buffer for _, buffer in samples]
    rng = np.random.default_rng(0)
    buffers = (buffers * 30)[: max(30, len(buffers))]
    changed = [mutation(buffer, rng, buffers) != buffer for buffer in buffers]
    assert np.mean(changed) > 0.5 or (target, mutation.__name__) == ("checkpoints", "splice")
    for odd in (b"", b"\x01", b"\xff" * 8, b"\xff" * 40, b"[" * 500):
        mutation(odd, rng, buffers)


def test_most_messages_are_cut_as_they_are_sent_and_some_are_not() -> None:
    with TARGETS["messages"].open() as (samples, _):
        buffers = [buffer for _, buffer in samples]
    rng = np.random.default_rng(0)
    packets = [(buffer, cut(buffer, rng)) for buffer in buffers]
    assert np.mean([packet.joined().tobytes() == buffer for buffer, packet in packets]) > 0.8
    refused = 0
    for _, packet in packets:
        try:
            decode(packet)
        except ProtocolError:
            refused += 1
    assert 0 < refused < len(packets) / 3
    for odd in (b"", b"\x01", b"\xff" * 40):
        assert cut(odd, rng).joined().tobytes() == odd


def test_mutations_derive_from_the_seed() -> None:
    drawn = [
        mutate(b"x" * 99, np.random.default_rng(seed), [b"y" * 99], BLIND) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_failures_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def broken() -> Any:
        def read(kind: str, data: bytes) -> str:
            if len(data) % 2:
                raise MemoryError("a terabyte")
            return "taken"

        yield [("even", b"0123")], read

    monkeypatch.setitem(fuzzing.TARGETS, "broken", Target(broken, (ProtocolError,), BLIND))
    outcome = fuzz("broken", seed=0, block=0, inputs=50)
    failed = outcome.counts["FAILED: MemoryError"]
    assert 0 < failed == len(outcome.findings) < 50
    assert f"| broken | 50 | {50 - failed} | 0 | {failed} | " in table(
        {"broken": (outcome, 1.0)}, 0
    )
    whole = Outcome()
    whole.add(outcome)
    assert whole.findings == outcome.findings


def test_changes_outside_the_folder_and_too_much_time_are_findings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def harmful() -> Any:
        def read(kind: str, data: bytes) -> str:
            if kind == "slow":
                while True:
                    pass
            (tmp_path / "precious").write_bytes(data)
            return "taken"

        yield [("slow", b"0123"), ("outside", b"4567")], read

    target = Target(harmful, (Exception,), BLIND, most_s=0.05)
    monkeypatch.setitem(fuzzing.TARGETS, "harmful", target)
    outcome = fuzz("harmful", seed=0, block=0, inputs=8)
    assert set(outcome.counts) == {"FAILED: OutOfTime", "FAILED: outside"}
    assert len(outcome.findings) == 8
    assert outcome.slowest_s >= 0.05
    assert kept([outcome], tmp_path / "findings")
    assert len(list((tmp_path / "findings").glob("*.txt"))) == 8
    assert not kept([Outcome()], tmp_path / "none")


def test_claims_of_terabytes_are_refused_before_anything_is_allocated() -> None:
    import tracemalloc

    with TARGETS["messages"].open() as (samples, _):
        buffer = samples[0][1]
    length = int.from_bytes(buffer[8:12], "little")
    header = msgspec.msgpack.decode(buffer[16 : 16 + length])
    header[3] = [["values", "F32", [2**38]]]
    body = msgspec.msgpack.encode(header)
    head = buffer[:8] + len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
    lie = (head + body).ljust(-(-(16 + len(body)) // 64) * 64, b"\0") + bytes(64)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="data end within"):
            decode(lie)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# Run folders from strangers cannot run code

READERS = (
    *(
        "agents.hosting.state_file",
        "agentos.records.checkpoints",
        "agentos.rounds.resumption",
        "agentos.records.reader",
    ),
    *(
        "agentos.runtime.profiling.trace_file",
        "agentos.records.result",
        "agentos.reporting.report",
        "agentos.reporting.comparison",
        "agentos.records.recorder",
    ),
    *(
        "agentos.records.metrics_log",
        "agentos.records.atomic_files",
        "agentos.records.ledger_file",
        "agentos.records.views.run_view",
        "agentos.records.agent_similarity",
        "agentos.config.load",
        "agentos.data.yaml_text",
        "agentos.data.yaml_values",
        "protocols.wire.frame",
        "protocols.wire.header",
    ),
    *("protocols.wire.serialize", "protocols.wire.coding"),
)
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "unsafe_load", "full_load"}


@pytest.mark.parametrize("name", READERS)
def test_readers_of_run_folders_have_nothing_that_runs_code(name: str) -> None:
    source = Path(str(importlib.import_module(name).__file__)).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[0] not in FORBIDDEN
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in CALLS
            assert called != "torch.load"
            assert not called.endswith(("unsafe_load", "full_load"))
            assert called != "yaml.load" or ast.unparse(node.args[1]) in ("Loader", "loader")
            pickles = [
                k.arg for k in node.keywords if k.arg in ("allow_pickle", "trust_remote_code")
            ]
            assert not pickles, called


def test_configurations_are_read_by_a_safe_loader() -> None:
    import yaml

    from agentos.data.yaml_values import Loader

    assert issubclass(Loader, yaml.SafeLoader)
