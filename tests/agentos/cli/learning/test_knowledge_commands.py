"""`agentos knowledge` shows, explains, compares, retracts, exports and checks; damage is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agentos.cli.main import app
from agentos.learning.knowledge.storage.claim_log import LOG
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agents.knowledge.claims import Claim
from protocols.errors import ConfigurationError, RecordError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with KnowledgeBase.create(tmp_path / "kb") as base:
        for name in ("red", "white"):
            base.add(
                [
                    Claim(
                        kind="label",
                        embedding=np.ones(3, np.float32),
                        frame="0" * 32,
                        labels=((name, 2.0),),
                        sources=("agent-0",),
                        origins=("1" * 32,),
                        status="accepted",
                    )
                ]
            )
    return tmp_path / "kb"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["knowledge", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_follow_a_claim_from_acceptance_to_retraction(folder: Path) -> None:
    assert "2 accepted" in run("show", folder)
    (line,) = run("search", folder, "WHITE").splitlines()
    digest = line.split()[0]
    assert run("diff", folder, 1).startswith(f"+ {digest}")
    assert "retracted" in run("retract", folder, digest, "--reason", "it was red")
    assert "it was red" in run("why", folder, digest)
    assert run("diff", folder, 2) == f"~ {digest} retracted label: white 2, was accepted\n"
    assert run("show", folder, "--status", "retracted").splitlines()[0].startswith(digest)
    assert json.loads(run("show", folder, "--json"))["counts"] == {"accepted": 1, "retracted": 1}
    assert [
        claim["digest"][:12] for claim in json.loads(run("search", folder, "WHITE", "--json"))
    ] == [digest]
    assert (
        json.loads(run("why", folder, digest, "--json"))["decisions"][0]["reason"] == "it was red"
    )
    (moved,) = json.loads(run("diff", folder, 2, "--json"))["moved"]
    assert (moved["status"], moved["was"]) == ("retracted", "accepted")
    assert run("diff", folder, 3) == "nothing has changed since\n"
    with pytest.raises(ConfigurationError, match="a number from 0 to 3"):
        run("diff", folder, 4)
    assert run("check", folder) == "sound: 3 records, 2 claims\n"
    assert json.loads(run("check", folder, "--json")) == {"records": 3, "claims": 2}


def test_export_writes_each_claim_as_a_line(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "claims.jsonl"
    assert json.loads(run("export", folder, file, "--json")) == {"claims": 2, "file": str(file)}
    lines = (tmp_path / "claims.jsonl").read_text().splitlines()
    assert [json.loads(line)["labels"] for line in lines] == [[["red", 2.0]], [["white", 2.0]]]


def test_check_refuses_a_damaged_log_with_the_file_named(folder: Path) -> None:
    path = folder / LOG
    path.write_bytes(path.read_bytes().replace(b'"red"', b'"rad"'))
    with pytest.raises(RecordError, match=str(path)):
        CliRunner().invoke(app, ["knowledge", "check", str(folder)], catch_exceptions=False)
