"""The study of trust: its cells are valid runs, and its page says what was measured."""

from __future__ import annotations

import json

import pytest

from agentos.config.run import RunConfig
from agents.exchange.accountant import epsilon_of
from experiments.studies.trust.cells import DEFAULTS, EPSILONS, FUSIONS, NOISED, ROUNDS
from experiments.studies.trust.leaks_and_backdoors import plan, read
from experiments.studies.trust.trust_page import Row, crossed, write_page

CELLS = plan(None, 1)


def test_every_exchange_is_there_and_keys_differ():
    names = {cell.names[1] for cell in CELLS if cell.part == "leak"}
    assert names == {*DEFAULTS, "overfitted"}
    assert len({cell.key for cell in CELLS}) == len(CELLS)
    assert len([cell for cell in CELLS if cell.names[-1] in FUSIONS]) == 3 * len(FUSIONS) - 1


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.key)
def test_cells_are_valid_runs(cell):
    RunConfig.model_validate(cell.values)


def test_noise_has_the_epsilon_that_the_cell_is_named_after():
    noised = [cell for cell in CELLS if cell.part == "leak" and cell.names[2]]
    assert len(noised) == len(NOISED) * len(EPSILONS)
    for cell in noised:
        messages = ROUNDS if cell.names[1] == "fedavg" else ROUNDS - 1
        privacy = cell.values["exchange"]["privacy"]
        found = epsilon_of(messages, privacy["noise"], privacy["delta"])
        assert found == pytest.approx(float(cell.names[2]), rel=1e-3)


def test_the_attackers_view_is_what_an_exchange_shows():
    kinds = ("fedavg", "fedmd", "isolated", "prototypes", "overfitted")
    expected = ["parameters", "messages", "text alone", "messages", "parameters"]
    assert [crossed(kind) for kind in kinds] == expected


def test_page_and_picture_hold_what_was_measured(tmp_path):
    leak = {"quality": 0.5, "mrr": 0.1, "bytes": 2e6, "parameters": 0.71, "messages": 0.52}
    leak |= {"text alone": 0.5, "hits": 0.02, "words": 0.01}
    spread = {"poisoned": 0.9, "success": 0.83, "untriggered": 0.1, "accuracy": 0.8}
    rows = [
        Row("leak", ("docstrings", "fedavg", ""), 1, leak),
        Row("leak", ("docstrings", "fedavg", ""), 2, {**leak, "parameters": 0.73}),
        Row("backdoor", ("ring", "mean"), 1, spread),
    ]
    text = write_page(rows, 75, "python -m study", tmp_path).read_text("utf-8")
    assert "3 of 75 runs" in text
    assert "0.720 ± 0.127" in text
    assert "| ring | mean | 0.900 | 0.830 | 0.100 | 0.800 |" in text
    for stem in ("trust", "trust_backdoor"):
        assert (tmp_path / f"{stem}.png").stat().st_size > 1000


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text(json.dumps({"key": "a", "quality": 1.0}) + '\n{"key": "b", "qual', "utf-8")
    assert read(kept) == {"a": {"quality": 1.0}}
    assert read(tmp_path / "none.jsonl") == {}
