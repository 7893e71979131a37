"""Machines that are lost in mid-run: nodes of a Ray cluster on this one, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentos import RunConfig, Simulation
from agentos.records.reader import load_run
from agentos.rounds.resumption import resumption

SCRIPT = """
import json, sys, time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from agentos import RunConfig, Simulation
from agentos.runtime.host_calls import Merge
from agentos.runtime.ray.session import RaySession
from protocols.errors import HostLost

path, out, cache = map(Path, sys.argv[1:])
config = RunConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
# A node that is gone is noticed after five checks, a second; Ray's own patience is 20.
health = {"health_check_period_ms": 200, "health_check_initial_delay_ms": 200}
cluster = Cluster(initialize_head=True, head_node_args={**node, "_system_config": health})
others = [cluster.add_node(**node) for _ in range(2)]
build, call = RaySession.build, RaySession.call
merges = 0

def build_and_tell(self, blueprint):
    build(self, blueprint)
    where = lambda host: ray.get_runtime_context().get_node_id()
    nodes = ray.get([actor.__ray_call__.remote(where) for actor in self._actors.values()])
    print(json.dumps({"nodes": nodes, "placement": list(self.placement.values())}))

def call_and_strike(self, calls):
    global merges
    merging = any(isinstance(call, Merge) for call in calls.values())
    merges += merging
    if merging and merges in (2, 4):
        cluster.remove_node(others.pop(), allow_graceful=False)
        while sum(node["Alive"] for node in ray.nodes()) > 1 + len(others):
            time.sleep(0.1)
    return call(self, calls)

RaySession.build, RaySession.call = build_and_tell, call_and_strike
try:
    Simulation(config, out, address=cluster.address, cache=cache).run()
except HostLost as error:
    print(json.dumps({"error": error.message, "hint": error.hint}))
cluster.shutdown()
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for this cluster's sockets, whose names may not be long."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.own_ray
def test_run_over_nodes_that_are_lost_gives_the_metrics_of_one_machine(
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    short_folder: Path,
    no_report: None,
) -> None:
    config = small(
        training={"rounds": 4, "local_steps": 2, "batch_size": 12, "max_length": 16},
        evaluation={"every": 2, "tasks": ["geometry"], "documents": 40},
        baseline={"isolated": False},
        checkpoints={"every": 1},
        policy={"restarts": 1},
    )
    Simulation(config, out=tmp_path / "local", cache=cache).run()
    values = {**config.resolved(), "runtime": {"kind": "ray", "hosts": 3, "timeout_s": 120.0}}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    out = tmp_path / "cluster"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "config.json", out, cache],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, "RAY_TMPDIR": str(short_folder)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    spread, error = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert len(set(spread["nodes"])) == 3
    assert set(spread["placement"]) == {0, 1, 2}
    # The first lost node's agents go on elsewhere; the second one is more than the policy allows.
    assert "the run has restarted 1 times already" in error["error"]
    assert f"agentos resume {out}" in error["hint"]
    record = load_run(out)
    assert [(each["round"], each["back_to"]) for each in record.restarts] == [(2, 1)]
    assert record.summary is not None
    assert (record.summary["status"], record.summary["rounds"]) == ("failed", 2)
    Simulation(config, out, cache=cache).run(resumption(out))
    for name in ("metrics.jsonl", "embeddings.safetensors"):
        assert (tmp_path / "local" / name).read_bytes() == (out / name).read_bytes()
