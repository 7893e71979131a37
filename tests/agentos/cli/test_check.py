from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from agentos import RunConfig, Simulation
from agentos.cli.main import app
from agentos.config.field_errors import InvalidConfiguration
from agentos.preflight.dry_run import check_protocol

FAMILIES = {"peer": "ring", "master_slave": "master_slave", "layered": "layered"}
RUNNER = CliRunner()


@pytest.fixture
def checked(small_values: dict[str, Any], tmp_path: Path) -> Callable[..., Result]:
    def check(*overrides: str) -> Result:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump({**small_values, "exchange": "anchor_contrast"}), "utf-8")
        return RUNNER.invoke(app, ["check", str(path), *overrides], env={"COLUMNS": "120"})

    return check


def test_sound_protocol_is_told_with_its_bytes(checked: Callable[..., Result]) -> None:
    ended = checked("exchange.codec=int8")
    assert ended.exit_code == 0, ended.output
    for told in ("embeddings", "saved by the codec", "agent-3", "sound small", "0 peer"):
        assert told in ended.output


def test_society_that_exchanges_nothing_is_sound(checked: Callable[..., Result]) -> None:
    ended = checked("exchange.kind=isolated")
    assert ended.exit_code == 0
    assert "nothing is sent" in ended.output


def test_exchange_that_is_never_due_is_a_problem(checked: Callable[..., Result]) -> None:
    ended = checked("exchange.every=9")
    assert ended.exit_code != 0
    error = ended.exception
    assert isinstance(error, InvalidConfiguration)  # `main` makes it exit code 2
    (problem,) = error.problems
    assert (problem.path, problem.given) == ("exchange.every", "every 9, first 1")
    assert "training.rounds" in str(problem.allowed)


def test_help_teaches() -> None:
    told = RUNNER.invoke(app, ["check", "--help"], env={"COLUMNS": "120"}).output
    assert "agentos check quickstart" in told
    assert "exchange.codec=int8" in told


@pytest.mark.parametrize("exchange", ["anchor_similarity", "fedavg"])
@pytest.mark.parametrize("objective", ["info_nce", "masked_lm"])
def test_parameters_and_headers_are_known_beforehand(
    small: Callable[..., RunConfig], exchange: str, objective: str
) -> None:
    config = small(exchange=exchange, objectives=[objective], topology="layered")
    found = check_protocol(config.protocol())
    assert found.problems == []
    assert found.ledger.total() > 0


def test_unlike_encoders_meet_in_the_width_of_the_exchange(
    small: Callable[..., RunConfig],
) -> None:
    groups = [
        {"count": 2, "encoder": {"preset": "tiny"}},
        {"count": 2, "encoder": {"preset": "nano"}},
    ]
    config = small(agents={"groups": groups}, exchange={"kind": "anchor_contrast", "dimension": 32})
    found = check_protocol(config.protocol())
    assert found.problems == []
    (size,) = set(found.ledger.rows()["payload_bytes"])
    assert 2 * 32 * 32 * 4 < size < 2 * 32 * 32 * 4 + 600


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["fp32", "int8"])
def test_run_sends_the_bytes_that_were_foretold(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, codec: str
) -> None:
    exchange = {"kind": "anchor_contrast", "codec": codec}
    config = small(exchange=exchange, topology="layered", baseline={"isolated": False})
    result = Simulation(config, out=tmp_path / "run", cache=cache).run()
    found = check_protocol(config.protocol()).ledger
    assert result.bytes.total == found.total()
    assert result.bytes.fp32_total == found.fp32_total()
    assert result.bytes.by_kind == found.by_kind()
