"""The Ray that a run starts for itself: who may connect to it, and what SIGTERM does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, signal, time
import psutil, ray
from ray._private import ray_constants
from agentos.runtime.interruption import Interrupted, interruptible
from agentos.runtime.ray.connection import connect
before = ray_constants.ENABLE_RAY_CLUSTER
with interruptible(), connect(None, 100, None):
    ray.get(ray.remote(lambda: 1).remote())
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    except Interrupted as interrupted:
        code = interrupted.exit_code
assert code == 143
assert ray_constants.ENABLE_RAY_CLUSTER == before
print(json.dumps(listening))
"""


@pytest.mark.slow
@pytest.mark.own_ray
def test_a_ray_of_its_own_listens_on_loopback_alone_and_leaves_sigterm_as_it_was() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    listening = json.loads(done.stdout.splitlines()[-1])
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}
