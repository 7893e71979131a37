"""Messages that pass from host to host without the object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig, Simulation
from agentos.runtime.ray.direct import DirectStore
from agentos.runtime.ray.runtime import RayRuntime
from protocols.wire.buffers import Packet


def test_parcel_leaves_once_and_arrives_as_it_was() -> None:
    sender, receiver = DirectStore("cpu"), DirectStore("cpu")
    buffers = [np.arange(5, dtype=np.uint8), np.full(300, 7, np.uint8)]
    packets = [Packet((buffer[:2], buffer[2:])) for buffer in buffers]
    (first,), (second,) = sender.put(packets), sender.put(packets[:1])
    assert sender.put([]) == []
    receiver.arrive([sender.take(second), sender.take(first)])
    got = receiver.get([[1], [], [0]])
    assert [len(parcel) for parcel in got] == [2, 0, 1]
    for received, sent in zip(got[0], buffers, strict=True):
        np.testing.assert_array_equal(received, sent)
    with pytest.raises(KeyError):
        sender.take(first)


@pytest.mark.slow
@pytest.mark.ray
def test_metrics_equal_to_the_bit_by_direct_transport(
    small: Callable[..., RunConfig],
    ray_cluster: None,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentos.reporting.report.write_report", lambda directory: None)
    fields: dict[str, Any] = {
        "topology": {"kind": "layered", "levels": [1, 1, 2]},
        "baseline": {"isolated": False},
        "evaluation": {"every": 2, "tasks": ["geometry"], "documents": 40, "between_agents": False},
    }
    found = []
    for runtime in ("local", RayRuntime(hosts=2, transport="direct")):
        out = tmp_path / str(len(found))
        config = small(**fields, runtime=runtime)
        # With a profile, calls are wrapped once more.
        Simulation(config, out=out, cache=cache, profile=runtime != "local").run()
        found.append((out / "metrics.jsonl").read_bytes())
    assert found[0] == found[1]
