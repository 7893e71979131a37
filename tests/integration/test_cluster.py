"""Several machines: three nodes of a Ray cluster on this one, in a process of their own."""

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

SCRIPT = """
import json, sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from agentos import RunConfig, Simulation
from agentos.runtime.ray import _RaySession

path, out, cache = map(Path, sys.argv[1:])
config = json.loads(path.read_text(encoding="utf-8"))
node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
for _ in range(2):
    cluster.add_node(**node)
build = _RaySession.build

def build_and_tell(self, blueprint):
    build(self, blueprint)
    where = lambda host: ray.get_runtime_context().get_node_id()
    nodes = ray.get([actor.__ray_call__.remote(where) for actor in self._actors.values()])
    print(json.dumps({"nodes": nodes, "placement": list(self.placement.values())}))

_RaySession.build = build_and_tell
Simulation(RunConfig.model_validate(config), out=out, cache=cache, address=cluster.address).run()
cluster.shutdown()
"""


SETTINGS = {
    # Ray's workers give way to every other process, the rest of a test suite too, unless told not to.
    "RAY_worker_niceness": "0",
    "RAY_raylet_start_wait_time_s": "120",
}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for this cluster's sockets, whose names may not be long."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_hosts_spread_over_nodes_give_the_same_metrics(
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentos.report.write_report", lambda directory: None)
    config = small(baseline={"isolated": False})
    Simulation(config, out=tmp_path / "local", cache=cache).run()
    values = {**config.resolved(), "runtime": {"kind": "ray", "hosts": 3}}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "config.json", tmp_path / "cluster", cache],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, **SETTINGS, "RAY_TMPDIR": str(short_folder)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert len(set(told["nodes"])) == 3
    assert set(told["placement"]) == {0, 1, 2}
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("local", "cluster")]
    assert metrics[0] == metrics[1]
