"""``agentos serve``: it answers on loopback alone, and ends in order."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentos import Task, solve

pytestmark = [pytest.mark.own_ray, pytest.mark.slow]


@pytest.fixture
def folder(tokenizer: Any, corpus_file: Path, tmp_path: Path) -> Path:
    from transformers import BertConfig, BertModel

    width = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), num_hidden_layers=1, **width)
    BertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    source = {"kind": "jsonl", "path": str(corpus_file), "label": "label"}
    task = {"kind": "classify", "source": source, "shots": 12, "max_length": 16}
    given = {"name": "towns", "library": {"models": [str(tmp_path / "model")]}, "task": task}
    return solve(Task.model_validate(given), tmp_path / "out").directory


def test_command_answers_on_loopback_and_ends_at_a_signal(folder: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "agentos.cli"]
    with subprocess.Popen(
        [*command, "serve", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found, process.communicate(timeout=60)
            body = json.dumps({"texts": ["the sea and its waves"]}).encode()
            request = urllib.request.Request(
                f"{found[0]}/answer", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=120) as response:
                assert len(json.load(response)["replies"]) == 1
            with urllib.request.urlopen(f"{found[0]}/health", timeout=120) as response:
                assert json.load(response)["status"] == "ok"
            children = psutil.Process(process.pid).children(recursive=True)
            listening = {
                connection.laddr.ip.removeprefix("::ffff:")
                for each in (psutil.Process(process.pid), *children)
                for connection in each.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
            assert listening <= {"127.0.0.1", "::1"}
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM, (out, err)
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
