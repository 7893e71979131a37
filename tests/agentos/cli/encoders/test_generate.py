"""``agentos generate`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentos import Simulation


@pytest.fixture(scope="module")
def run(
    small_values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Path:
    """A run of four decoders that write in bytes."""
    from agentos import RunConfig

    values = {
        **small_values,
        "agents": {"count": 4, "encoder": {"preset": "nano-decoder", "dropout": 0.0}},
        "data": {**small_values["data"], "tokenizer": {"kind": "bpe", "vocabulary_size": 400}},
        "objectives": ["causal_lm"],
        "exchange": "fedavg",
        "training": {"rounds": 1, "local_steps": 8, "batch_size": 12, "max_length": 16},
        "evaluation": {"every": 1, "tasks": ["geometry"], "documents": 20},
        "baseline": {"isolated": False},
    }
    folder = tmp_path_factory.mktemp("decoders") / "run"
    Simulation(RunConfig.model_validate(values), folder, cache=cache).run()
    return folder


def test_prompt_is_gone_on_with_and_nothing_else_is_said(run: Path, call: Any) -> None:
    code, out, err = call("generate", run, "--prompt", "wave [Ship]", "--max-new-tokens", 6)
    assert (code, err) == (0, "")
    assert out.startswith("wave [ship]")
    assert len(out) > len("wave [ship]\n")
    said = call("generate", run, "--prompt", "wave [Ship]", "--max-new-tokens", 6, "--json")[1]
    assert json.loads(said) == {"prompt": "wave [Ship]", "texts": [out.removesuffix("\n")]}


def test_sample_of_an_agent_is_the_same_every_time(run: Path, call: Any) -> None:
    drawn = (run, "--agent", 2, "--prompt", "the", "--sample", "--top-k", 9, "--count", 3)
    first, again, other = (call("generate", *drawn, "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == again != other
    assert len(first.splitlines()) >= 3
    assert call("generate", *drawn[:1], "--agent", 0, *drawn[3:], "--seed", 1)[0] == 0
    assert call("generate", run / "encoders" / "agent-2", *drawn[3:], "--seed", 1)[1] == first


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--agent", 7, "--prompt", "x"], "no encoder of agent 7 expected: one of 0, 1, 2, 3"),
        (["--prompt", "x", "--temperature", 2], "turn sampling on (--sample)"),
        ([], "Missing option '--prompt'"),
    ],
)
def test_what_cannot_be_done_ends_with_a_reason(
    run: Path, call: Any, arguments: list[Any], reason: str
) -> None:
    code, out, err = call("generate", run, *arguments)
    assert (code, out) == (2, "")
    assert reason in err
